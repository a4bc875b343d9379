"""The JSON Schema of rollout.yml, for editors and for the reference; made from the models and never edited."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from rollout.config.file import File
from rollout.core.duration import compact_duration
from rollout.settings import PERCENT_PATTERN

ID: Final = "urn:rollout-orchestrator:rollout.yml"

Schema = dict[str, Any]  # JSON Schema as pydantic hands it over


class _AsWritten(GenerateJsonSchema):
    """Defaults as a user writes them: `15s` and `1%`, not what the program makes of them."""

    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401  (pydantic's signature)
        return compact_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if made.get("pattern") == PERCENT_PATTERN and isinstance(made.get("default"), float):
            made["default"] = f"{made['default'] * 100:g}%"
        return made


def schema() -> Schema:
    """The JSON Schema (draft 2020-12) of rollout.yml."""
    made = File.model_json_schema(schema_generator=_AsWritten)
    _tidied(made)
    # What Configuration puts in place of an empty tuple is the policy's, so an editor must not offer the tuple.
    for key in ("steps", "gates"):
        made["properties"][key].pop("default")
        made["properties"][key]["minItems"] = 1
    kinds = made["properties"]["gates"]["items"]
    kinds["anyOf"] = kinds.pop("oneOf")  # no gate is of two kinds, and editors explain a mistake better so
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": ID, "title": "rollout.yml", **made}


def schema_text() -> str:
    """The schema as the committed file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def resolve(root: Schema, part: Schema) -> Schema:
    """A part of the schema with its reference followed, and what may be null read as what it is otherwise."""
    found = part
    while True:
        match found:
            case {"$ref": str(reference)}:
                rest = {key: value for key, value in found.items() if key != "$ref"}
                found = {**root["$defs"][reference.removeprefix("#/$defs/")], **rest}
            case {"anyOf": [dict(one), {"type": "null"}]}:
                rest = {key: value for key, value in found.items() if key != "anyOf"}
                found = {**one, **rest}
            case _:
                return found


def at(root: Schema, loc: tuple[str | int, ...]) -> Schema | None:
    """The part of the schema that a location in the file is held to, None where there is none.

    Where a value is one of several mappings, the location goes on with the name of one of them in `$defs`.
    """
    found = resolve(root, root)
    for step in loc:
        inner = _inner(_mapping(root, found), step)
        if not isinstance(inner, dict):
            return None
        found = resolve(root, inner)
    return _mapping(root, found)


def _mapping(root: Schema, part: Schema) -> Schema:
    """The mapping, of a value that is either a text or one mapping."""
    kinds = [resolve(root, kind) for kind in part.get("anyOf", [])]
    mappings = [kind for kind in kinds if "properties" in kind]
    return mappings[0] if len(mappings) == 1 else part


def _inner(part: Schema, step: str | int) -> object:
    if isinstance(step, int):
        return part.get("items")
    one = {"$ref": f"#/$defs/{step}"}
    return one if one in part.get("anyOf", []) else part.get("properties", {}).get(step)


def _tidied(part: object) -> None:
    """Leave out what would mislead an editor.

    Titles that pydantic makes of field names say nothing. An `anyOf` beside a `type` is what a field takes before it
    is brought into its one form (a text or a list of them); the `type` would refuse all but that form.
    """
    match part:
        case dict():
            if isinstance(part.get("title"), str):
                del part["title"]
            if "anyOf" in part:
                for narrower in ("type", "items", "minLength", "minItems"):
                    part.pop(narrower, None)
            for one in part.values():
                _tidied(one)
        case list():
            for one in part:
                _tidied(one)
        case _:
            pass
