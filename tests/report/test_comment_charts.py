"""Mermaid itself reads every chart that a comment can hold; a chart it cannot read is an error in the reader's face."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.core.events import Judged
from rollout.core.language import Language
from rollout.core.verdict import Counts, GateResult, Judgement, Verdict
from rollout.report.mermaid import charts, failure_chart, telling_gate, traffic_chart
from rollout.report.page import Page
from tests.report.rendering import MODULES
from tests.report.said import scene
from tests.report.scenes import SCENES

_CHART = re.compile(r"```mermaid\n(.*?)\n```", re.DOTALL)
HOSTILE = '"; click a "x" %%{init: {}}%% ```\n</pre> {{ }} [[ ]] `# é 稳定 1e-9'


def complaints(drawn: list[str]) -> list[str]:
    """What mermaid has against each chart."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    node = shutil.which("node", path=path)
    if node is None:
        pytest.skip("mermaid runs in Node, and there is none here")
    if not (MODULES / "mermaid").is_dir():
        pytest.skip("mermaid is not installed: scripts/npm-packages does it")
    bare = [found[1] for one in drawn for found in _CHART.finditer(one)]
    assert len(bare) == len(drawn)
    reader = MODULES.parent / "parse.mjs"
    done = subprocess.run((node, str(reader)), input=json.dumps(bare), capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def hard(page: Page, counts: list[tuple[int, int, int, int]], gate: str) -> Page:
    """The page after verdicts with such counts: the canary's total and failures, then stable's."""
    judged = [
        Judged(
            at=page.now.replace(second=place),
            step=1,
            judgement=Judgement(
                verdict=Verdict.HEALTHY,
                gates=(
                    GateResult(
                        gate=gate,
                        verdict=Verdict.HEALTHY,
                        sentence="",
                        canary=Counts(total=a, failures=b),
                        stable=Counts(total=c, failures=d),
                        log_threshold=1.0,
                    ),
                ),
            ),
        )
        for place, (a, b, c, d) in enumerate(counts)
    ]
    last = judged[-1].judgement
    return replace(page, events=(*page.events[:1], *judged), judgement=last, state=replace(page.state, judgement=last))


def test_mermaid_reads_every_chart() -> None:
    """Of all scenes in both languages, and of counts and names that are hard to draw."""
    drawn = [str(one) for name in SCENES for language in Language for one in charts(scene(name, language))]
    for counts in (
        [(1, 0, 1, 0)],
        [(5, 0, 9, 0), (10, 0, 20, 0)],
        [(10**9, 1, 10**12, 1), (2 * 10**9, 2, 2 * 10**12, 2)],
        [(7, 7, 7, 7), (3, 3, 3, 3), (14, 14, 0, 0)],
        [(n * 40, n, n * 90, n) for n in range(1, 60)],
    ):
        for gate in ("http 5xx", HOSTILE, "", "的" * 300):
            drawn += [str(one) for one in charts(hard(scene("under_way"), counts, gate))]
    assert len(drawn) > 30
    assert complaints(drawn) == [""] * len(drawn)


def test_mermaid_is_really_asked() -> None:
    """What it cannot read is told: an exponent, a gap."""
    bad = ["```mermaid\nxychart-beta\n    line [1e-5]\n```", "```mermaid\nxychart-beta\n    line []\n```"]
    assert all(complaints(bad))


def test_a_chart_shows_what_was_served() -> None:
    """The weight at every minute, up to now."""
    drawn = traffic_chart(scene("under_way"))
    values = re.search(r"line \[(.*)\]", drawn)
    assert values is not None
    assert {float(value) for value in values[1].split(", ")} == {0, 1, 5, 10}


def test_failures_are_drawn_from_verdict_to_verdict() -> None:
    """Not since the start: what gets worse is seen to."""
    drawn = failure_chart(hard(scene("under_way"), [(100, 1, 900, 9), (200, 21, 1800, 18)], "http 5xx"))
    assert "line [1, 20]" in drawn
    assert "bar [1, 1]" in drawn


def test_a_single_verdict_is_drawn_as_two_bars() -> None:
    """A line of one point cannot be seen."""
    drawn = failure_chart(hard(scene("under_way"), [(100, 5, 900, 9)], "http 5xx"))
    assert 'x-axis ["stable", "canary"]' in drawn
    assert "bar [1, 5]" in drawn
    assert "line" not in drawn.replace("xyline", "")


def test_the_gate_that_condemns_is_drawn() -> None:
    """Though another one has more failures."""
    judged = Judgement(
        verdict=Verdict.UNHEALTHY,
        gates=tuple(
            GateResult(
                gate=name,
                verdict=verdict,
                sentence="",
                canary=Counts(total=100, failures=failures),
                stable=Counts(total=100, failures=0),
                log_threshold=1.0,
            )
            for name, verdict, failures in (("a", Verdict.HEALTHY, 50), ("b", Verdict.UNHEALTHY, 10))
        ),
    )
    assert telling_gate(judged) == "b"


def test_a_name_cannot_leave_its_title() -> None:
    """Quotes, brackets and directives are dropped."""
    drawn = failure_chart(hard(scene("under_way"), [(100, 5, 900, 9)], HOSTILE))
    title = next(line for line in drawn.splitlines() if line.strip().startswith("title"))
    assert title.count('"') == 2
    assert html.unescape(title) == title
