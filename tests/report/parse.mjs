// Reads charts as JSON (a list of texts) and answers with what mermaid has against each of them: "" where it parses.
import { JSDOM } from "jsdom";
import { readFileSync } from "node:fs";

const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");

const found = [];
for (const chart of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    const { diagramType } = await mermaid.parse(chart);
    found.push(diagramType === "xychart" ? "" : `it is read as ${diagramType}`);
  } catch (mistake) {
    found.push(String(mistake.message ?? mistake) || "it does not parse");
  }
}
process.stdout.write(JSON.stringify(found));
