"""The tables of docs/configuration.md, made from the schema, so that the page cannot say anything else.

`python -m rollout.config.reference` in the project's directory writes the committed schema and the page's tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from rollout.config.schema import Schema, resolve, schema, schema_text
from rollout.core.duration import PATTERN as DURATION_PATTERN
from rollout.settings import PERCENT_PATTERN

SCHEMA_FILE: Final = Path("schema/rollout.schema.json")
PAGE: Final = Path("docs/configuration.md")

_MARKED: Final = re.compile(r"(?<=<!-- tables -->\n).*?(?=<!-- end of tables -->)", re.DOTALL)


def tables() -> str:
    """A table per mapping of rollout.yml, in Markdown, in the order of the schema."""
    root = schema()
    parts = [f"### {title}\n\n{_intro(part)}{_table(root, part)}" for title, part in _mappings(root, root, "")]
    return "\n" + "\n".join(parts) + "\n"


def page(text: str) -> str:
    """The text of the page with its tables made anew. Raises ValueError where the marks are not there."""
    made, count = _MARKED.subn(lambda _: tables(), text)
    if count != 1:
        raise ValueError("the page has no '<!-- tables -->' ... '<!-- end of tables -->'")
    return made


def _mappings(root: Schema, part: Schema, name: str, *, kind: str = "") -> Iterator[tuple[str, Schema]]:
    yield (f"`{name}`{kind}" if name else "Top level"), part
    for key, value in part["properties"].items():
        inner = resolve(root, value)
        where = f"{name}.{key}" if name else key
        if inner.get("type") == "array":
            inner, where = resolve(root, inner.get("items", {})), f"{where}[]"
        for one in inner.get("anyOf", [inner]):
            found = resolve(root, one) if isinstance(one, dict) else {}
            if "properties" in found:
                yield from _mappings(root, found, where, kind=_own(found) if "anyOf" in inner else "")


def _own(part: Schema) -> str:
    """How one of several mappings is told from the others: by the keys it needs, `name` aside."""
    return " with " + " and ".join(f"`{key}`" for key in part["required"] if key != "name")


def _intro(part: Schema) -> str:
    said = part.get("description", "")
    keys = list(part["properties"])
    example = "".join(
        f"```yaml\n{_yaml({key: one[key] for key in keys if key in one})}```\n\n" for one in part.get("examples", [])
    )
    return (f"{said}\n\n" if said else "") + example


def _yaml(example: Schema) -> str:
    """An example as an item of a list, in the style of the file."""
    return "".join(
        f"{'  ' if at else '- '}{key}: {_inline(value)}\n" for at, (key, value) in enumerate(example.items())
    )


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key}: {_inline(one)}' for key, one in value.items())} }}"
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()


def _table(root: Schema, part: Schema) -> str:
    lines = ["| key | type | default | what it is |", "|---|---|---|---|"]
    for key, value in part["properties"].items():
        found = resolve(root, value)
        needed = key in part.get("required", ())
        default = "**required**" if needed else _default(found)
        cells = (f"`{key}`", _type(root, found), default, _cell(found.get("description", "") + _examples(found)))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _default(part: Schema) -> str:
    default = part.get("default")
    if default is None or default in ([], {}, "") or isinstance(default, dict):
        return ""
    return _cell(f"`{default if isinstance(default, str) else json.dumps(default)}`")


def _examples(part: Schema) -> str:
    examples = part.get("examples", [])
    if not examples or part.get("default") is not None or part.get("enum") or part.get("pattern") in _UNITS:
        return ""
    first = examples[0] if isinstance(examples[0], str) else json.dumps(examples[0])
    return f" Example: `{first}`"


def _type(root: Schema, part: Schema) -> str:
    found = resolve(root, part)
    match found:
        case {"enum": [*words]}:
            return _cell(" or ".join(f"`{word}`" for word in words))
        case {"const": word}:
            return f"`{word}`"
        case {"anyOf": [*kinds]}:
            return " or ".join(dict.fromkeys(_type(root, kind) for kind in kinds))
        case {"type": "array"}:
            return f"list of {_type(root, found.get('items', {}))}"
        case {"type": "object"}:
            return "mapping"
        case {"type": "string", "writeOnly": True}:
            return "secret text"
        case {"type": "string", "pattern": str(pattern)} if pattern in _UNITS:
            return "percentage" if pattern == PERCENT_PATTERN else "duration"
        case {"type": "string", "pattern": r"\$version"}:
            return "selector"
        case {"type": [*kinds]}:
            return " or ".join(_PLAIN.get(str(kind), str(kind)) for kind in kinds)
        case _:
            kind = str(found.get("type", "value"))
            return _PLAIN.get(kind, kind)


_UNITS: Final = (PERCENT_PATTERN, f"^{DURATION_PATTERN}$")
_PLAIN: Final = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "empty"}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
