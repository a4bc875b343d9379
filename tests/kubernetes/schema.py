"""What the schema of a custom resource does to an object: unknown fields are dropped, defaults filled in, errors named.

The schemas are files beside this module, in the form of a CustomResourceDefinition's openAPIV3Schema. They hold the
part of Gateway API v1 and of argoproj.io/v1alpha1 that is used here, written down after the published definitions;
where those go deeper (pod templates, filters that nobody here writes), anything is taken. Of the rules that are
written in CEL, those that stand in the table below are held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from tests.kubernetes.kinds import Json, Kind, Node, copied, name_of
from tests.kubernetes.refusals import invalid

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_RULES: Final[Mapping[str, Callable[[Node, Node], bool]]] = {
    "self == oldSelf": lambda now, before: before is None or now == before,
    "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true": lambda now, _: (
        now.get("group", "") != "" or now.get("kind") != "Service" or "port" in now
    ),
    "(self.type in ['Exact','PathPrefix']) ? self.value.startsWith('/') : true": lambda now, _: (
        now["type"] == "RegularExpression" or now["value"].startswith("/")
    ),
}

Cause = tuple[str, str]
"""A field and what is wrong with it."""


@cache
def schema_of(plural: str) -> Json | None:
    """The schema of a custom resource; None for one that takes anything."""
    file = Path(__file__).parent / "schemas" / f"{plural}.json"
    loaded: Json | None = json.loads(file.read_text()) if file.exists() else None
    return loaded


def checked(kind: Kind, item: Json, before: Json | None = None) -> Json:
    """The object as its schema lets it in. Raises Refusal 422 with every cause."""
    schema = schema_of(kind.plural) if kind.custom else None
    if schema is None:
        return item
    causes: list[Cause] = []
    result: Json = _fitted(item, schema, "", before, causes)
    if causes:
        raise invalid(kind, name_of(item), causes)
    return result


def _fitted(value: Node, schema: Json, path: str, before: Node, causes: list[Cause]) -> Node:
    wrong = _wrong(value, schema)
    if wrong:
        causes.append((path or "<root>", wrong))
        return value
    if isinstance(value, dict):
        value = _object(value, schema, path, before if isinstance(before, dict) else None, causes)
    elif isinstance(value, list) and "items" in schema:
        value = [_fitted(one, schema["items"], f"{path}[{at}]", None, causes) for at, one in enumerate(value)]
    for rule in schema.get("x-kubernetes-validations") or ():
        if not causes and not _RULES[rule["rule"]](value, before):
            causes.append((path, f"Invalid value: {json.dumps(value)}: {rule['message']}"))
    return value


def _object(value: Json, schema: Json, path: str, before: Json | None, causes: list[Cause]) -> Json:
    fields: Json = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    keep = schema.get("x-kubernetes-preserve-unknown-fields") or not (fields or others)
    result: Json = {}
    for key, inner in value.items():
        where = f"{path}.{key}".lstrip(".")
        if key in fields:
            if inner is None and not fields[key].get("nullable"):
                continue
            result[key] = _fitted(inner, fields[key], where, (before or {}).get(key), causes)
        elif others:
            result[key] = _fitted(inner, others, where, None, causes)
        elif keep or (not path and key in ("apiVersion", "kind", "metadata")):
            result[key] = inner
    for key, field in fields.items():
        if key not in result and "default" in field:
            result[key] = _fitted(copied(field["default"]), field, f"{path}.{key}".lstrip("."), None, causes)
    causes += [
        (f"{path}.{key}".lstrip("."), "Required value") for key in schema.get("required") or () if key not in result
    ]
    return result


def _wrong(value: Node, schema: Json) -> str:
    """What is wrong with a value by itself; empty where nothing is."""
    if schema.get("x-kubernetes-int-or-string"):
        fine = isinstance(value, int | str) and not isinstance(value, bool)
        return "" if fine else f'Invalid value: "{_name(value)}": must be of type int-or-string'
    wanted = schema.get("type")
    if wanted and (not isinstance(value, _TYPES[wanted]) or (wanted != "boolean" and isinstance(value, bool))):
        return f'Invalid value: "{_name(value)}": must be of type {wanted}: "{_name(value)}"'
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(json.dumps(one) for one in schema["enum"])
        return f"Unsupported value: {json.dumps(value)}: supported values: {supported}"
    if isinstance(value, str):
        return _wrong_text(value, schema)
    if isinstance(value, list):
        most, least = schema.get("maxItems"), schema.get("minItems", 0)
        if most is not None and len(value) > most:
            return f"Too many: {len(value)}: must have at most {most} items"
        return f"Invalid value: {len(value)}: should have at least {least} items" if len(value) < least else ""
    if isinstance(value, int | float):
        if value > schema.get("maximum", value):
            return f"Invalid value: {value}: should be less than or equal to {schema['maximum']}"
        if value < schema.get("minimum", value):
            return f"Invalid value: {value}: should be greater than or equal to {schema['minimum']}"
    return ""


def _wrong_text(value: str, schema: Json) -> str:
    most = schema.get("maxLength")
    if most is not None and len(value) > most:
        return f"Too long: may not be more than {most} bytes"
    if len(value) < schema.get("minLength", 0):
        return f"Invalid value: {json.dumps(value)}: should be at least {schema['minLength']} chars long"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return f"Invalid value: {json.dumps(value)}: should match '{schema['pattern']}'"
    return ""


def _name(value: Node) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")
