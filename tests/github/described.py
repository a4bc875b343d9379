"""GitHub's own description of its API, held against every request and every answer of the tests' GitHub.

The description is npm's `@octokit/openapi`, which `scripts/npm-packages` installs. What it says of one field it cannot
say of two, nor of time, permissions or limits: that is in the double. Fields that it requires of an answer and that
the double does not know are filled in with nothing: null, empty, zero, false.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import referencing
import referencing.jsonschema

from tests.github.wire import Call, Json, Reply, Route

FILE: Final = Path(__file__).parent / "node_modules/@octokit/openapi/generated/api.github.com.json"
_HERE: Final = "urn:github"
_FORMATS: Final = jsonschema.FormatChecker(formats=())
_EMPTY: Final[dict[str, object]] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}
_EMPTY_OF_FORMAT: Final = {"uri": "https://api.github.com/", "date-time": "2026-01-01T00:00:00Z"}


@_FORMATS.checks("date-time")
def _is_time(value: object) -> bool:
    return (
        not isinstance(value, str)
        or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", value) is not None
    )


@cache
def installed() -> Description | None:
    """The description, where it is installed. Without it the double answers, and nothing is checked."""
    return Description(json.loads(FILE.read_text(encoding="utf-8"))) if FILE.is_file() else None


@dataclass(frozen=True, slots=True)
class Wrong:
    """What one message breaks, as sentences."""

    where: str

    def says(self, problem: str) -> str:
        """The sentence."""
        return f"{self.where}: {problem}"


class Description:
    """Operations by verb and path, and the schemas that they name."""

    def __init__(self, document: Json) -> None:
        self.version: str = document["info"]["version"]
        self._document = document
        self._json: dict[str, Any] = {}
        """Schemas by reference, in the words of JSON Schema."""
        self._validators: dict[str, Any] = {}
        self._registry: referencing.Registry[Any] = referencing.Registry(
            retrieve=self._retrieve  # type: ignore[call-arg]  # the name that attrs gives to `_retrieve`
        )

    def knows(self, route: Route) -> bool:
        """Whether GitHub has this operation."""
        return route.verb.lower() in self._document["paths"].get(route.template, {})

    def of_request(self, route: Route, call: Call) -> list[str]:
        """What of this request GitHub does not know or would not take."""
        operation = self._operation(route)
        wrong = Wrong(f"{route.verb} {call.path}")
        known = {one["name"]: one["schema"] for one in map(self._look_up, operation.get("parameters", ()))}
        found = [wrong.says(f"there is no parameter {name!r}") for name in call.query.keys() - known.keys()]
        for name, value in call.query.items():
            if name in known:
                found += self._check(f"?{name}", known[name], _typed(value, known[name]), wrong)
        body = self._look_up(operation.get("requestBody") or {})
        if not body:
            return found + ([wrong.says("it takes no body")] if call.body else [])
        if call.body is None:
            return found + ([wrong.says("a body is required")] if body.get("required") else [])
        schema = body["content"]["application/json"]["schema"]
        return found + self._check("body", schema, call.body, wrong) + self._unknown("body", schema, call.body, wrong)

    def of_reply(self, route: Route, reply: Reply) -> tuple[Reply, list[str]]:
        """The whole answer, and what GitHub would never say in it."""
        wrong = Wrong(f"the answer {reply.status} to {route.verb} {route.template}")
        described = self._operation(route)["responses"].get(str(reply.status))
        if described is None:
            return reply, ([] if reply.status >= 400 else [wrong.says("GitHub does not answer so")])
        content = self._look_up(described).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is None or reply.raw is not None:
            unasked = reply.body is not None and not content and reply.status < 400
            return reply, ([wrong.says("it has no body")] if unasked else [])
        found = self._unknown("it", schema, reply.body, wrong) if reply.status < 400 else []
        whole = self._filled(schema, reply.body)
        found += self._check("it", schema, whole, wrong)
        return replace(reply, body=whole), found

    def of_event(self, name: str, payload: Json) -> tuple[Json, list[str]]:
        """The whole payload of a webhook such as `issue-comment-created`, and what GitHub would never say in it."""
        wrong = Wrong(f"the event {name}")
        described = self._document["x-webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
        found = self._unknown("it", described, payload, wrong)
        whole = self._filled(described, payload)
        return whole, found + self._check("it", described, whole, wrong)

    def _operation(self, route: Route) -> Json:
        operation: Json = self._document["paths"][route.template][route.verb.lower()]
        return operation

    def _look_up(self, thing: Json) -> Json:
        while "$ref" in thing:
            at: Any = self._document
            for part in thing["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            thing = at
        return thing

    def _check(self, what: str, schema: Json, value: object, wrong: Wrong) -> list[str]:
        errors: Iterable[jsonschema.ValidationError] = self._validator(schema).iter_errors(value)
        return [wrong.says(f"{what}{_place(one)}: {one.message[:300]}") for one in map(_deepest, errors)]

    def _validator(self, schema: Json) -> Any:  # noqa: ANN401  (jsonschema's own classes have no common type)
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            plain = _in_json_schema(schema)
            self._validators[key] = jsonschema.Draft4Validator(plain, registry=self._registry, format_checker=_FORMATS)
        return self._validators[key]

    def _retrieve(self, uri: str) -> referencing.Resource[Any]:
        if uri not in self._json:
            self._json[uri] = _in_json_schema(self._look_up({"$ref": f"#/{uri.removeprefix(f'{_HERE}:')}"}))
        return referencing.jsonschema.DRAFT4.create_resource(self._json[uri])

    def _unknown(self, what: str, schema: Json, value: object, wrong: Wrong) -> list[str]:
        """Fields that GitHub does not know: a request's are not heard, and an answer's nobody may rely on."""
        whole = self._look_up(schema)
        if isinstance(value, list):
            found = [self._unknown(f"{what}[]", whole["items"], one, wrong) for one in value if "items" in whole]
            return sorted({one for each in found for one in each})
        if not isinstance(value, dict) or "properties" not in whole:
            return []
        known = whole["properties"]
        lost = [
            wrong.says(f"{what} has a field {name!r} that GitHub's has not") for name in value.keys() - known.keys()
        ]
        inner = [
            self._unknown(f"{what}.{name}", known[name], value[name], wrong) for name in value.keys() & known.keys()
        ]
        return [*([] if whole.get("additionalProperties") else lost), *(one for each in inner for one in each)]

    def _filled(self, schema: Json, value: Any) -> Any:  # noqa: ANN401  (any JSON)
        schema = self._look_up(schema)
        if isinstance(value, list):
            return [self._filled(schema.get("items", {}), one) for one in value]
        if not isinstance(value, dict):
            return value
        for part in schema.get("allOf", ()):
            value = self._filled(part, value)
        for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
            if self._validator(part).is_valid(whole := self._filled(part, value)):
                return whole
        properties = schema.get("properties", {})
        value = {name: self._filled(properties.get(name, {}), inner) for name, inner in value.items()}
        missing = [name for name in schema.get("required", ()) if name not in value]
        return value | {name: self._empty(properties.get(name, {})) for name in missing}

    def _empty(self, schema: Json) -> object:
        schema = self._look_up(schema)
        if schema.get("nullable"):
            return None
        if "enum" in schema:
            return schema["enum"][0]
        for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())):
            return self._empty(part)
        if schema.get("format") in _EMPTY_OF_FORMAT:
            return _EMPTY_OF_FORMAT[schema["format"]]
        return self._filled(schema, {}) if schema.get("type", "object") == "object" else _EMPTY[schema["type"]]


def _in_json_schema(schema: Any) -> Any:  # noqa: ANN401  (any part of a schema)
    """The same in the words of JSON Schema: OpenAPI 3.0 says `nullable` where that says a type more."""
    if isinstance(schema, list):
        return [_in_json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str):
        return {"$ref": f"{_HERE}:{schema['$ref'].removeprefix('#/')}"}
    dropped = ("nullable", "example", "examples", "description", "discriminator", "x-multi-segment")
    plain = {name: _in_json_schema(one) for name, one in schema.items() if name not in dropped or name == "properties"}
    if isinstance(plain.get("properties"), dict):
        plain["properties"] = {name: _in_json_schema(one) for name, one in schema["properties"].items()}
    return {"anyOf": [{"type": "null"}, plain]} if schema.get("nullable") is True else plain


def _typed(value: str, schema: Json) -> object:
    """A parameter as its type reads it."""
    match schema.get("type"):
        case "integer" if value.lstrip("-").isdigit():
            return int(value)
        case "boolean" if value in ("true", "false"):
            return value == "true"
        case _:
            return value


def _deepest(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """Where several schemas would do and none does, what is wrong with the one that came nearest."""
    while error.context:
        error = max(error.context, key=lambda one: len(one.absolute_path))
    return error


def _place(error: jsonschema.ValidationError) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
