"""What is wrong with a value, in the words of the file and with the next thing to do; no word of the library's.

A value that came from the environment is in no message, not even in part.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from pydantic_core import ErrorDetails

from rollout.config import schema as schemas
from rollout.config.document import Document, Loc, Mistake
from rollout.config.rules import ELSEWHERE
from rollout.config.variables import Expanded

LATER: Final = {
    "target": frozenset({"kubernetes", "argo", "command"}),
    "gates": frozenset({"histogram", "quantile", "max_increase", "emergency", "over", "regression", "query"}),
}
"""Words that the documentation of later versions knows, by section."""

_SECTIONS: Final = {"target": "target", "metrics": "source"}

_WORDS: Final = {
    "string_type": "this must be text",
    "int_type": "this must be a whole number",
    "int_parsing": "this must be a whole number",
    "int_from_float": "this must be a whole number",
    "float_type": "this must be a number",
    "float_parsing": "this must be a number",
    "finite_number": "this must be a number",
    "bool_type": "this must be true or false",
    "bool_parsing": "this must be true or false",
    "tuple_type": "this must be a list",
    "list_type": "this must be a list",
    "dict_type": "this must be a mapping of keys to values",
    "model_type": "this must be a mapping of keys to values",
    "model_attributes_type": "this must be a mapping of keys to values",
    "path_type": "this must be a path",
    "literal_error": "this must be {expected}",
    "enum": "this must be {expected}",
    "greater_than": "this must be more than {gt}",
    "greater_than_equal": "this must be {ge} or more",
    "less_than": "this must be less than {lt}",
    "less_than_equal": "this must be {le} or less",
    "string_too_short": "this must have {min_length} characters or more",
    "string_too_long": "this must have {max_length} characters or less",
    "too_short": "this must have {min_length} or more entries or characters",
    "too_long": "this must have {max_length} or fewer entries or characters",
}


def explain(errors: list[ErrorDetails], *, document: Document, expanded: Expanded) -> Iterator[Mistake]:
    """The mistakes behind what pydantic found, one per location."""
    root = schemas.schema()
    together: defaultdict[Loc, list[ErrorDetails]] = defaultdict(list)
    for error in errors:
        together[_where(error, document)].append(error)
    misspelt = {loc for loc, found in together.items() if found[0]["type"] == "extra_forbidden"}
    for loc, found in together.items():
        if found[0]["type"] == "extra_forbidden":
            yield _unknown(loc, document=document, root=root)
        elif found[0]["type"] == "missing":
            meant = any(one[:-1] == loc[:-1] and _nearest(one[-1], [str(loc[-1])]) for one in misspelt)
            if not meant and not _counts_elsewhere(loc, expanded.content):
                yield _missing(loc, document=document, root=root)
        else:
            yield _wrong(loc, found, document=document, expanded=expanded, root=root)


def _where(error: ErrorDetails, document: Document) -> Loc:
    """The location in the file: pydantic adds the branches of a union behind it."""
    loc: Loc = tuple(error["loc"])
    if error["type"] == "missing":
        return (*_where_value(loc[:-1], document), loc[-1])
    return _where_value(loc, document)


def _where_value(loc: Loc, document: Document) -> Loc:
    while loc and loc not in document.values:
        loc = loc[:-1]
    return loc


def _unknown(loc: Loc, *, document: Document, root: schemas.Schema) -> Mistake:
    *parents, key = loc
    above = schemas.at(root, tuple(parents)) or {}
    known = list(above.get("properties", {}))
    section = str(loc[0])
    if key in LATER.get(section, ()):
        message, hint = "not supported by this version yet", f"known: {', '.join(known)}"
    else:
        what = _SECTIONS.get(section, "key") if len(loc) == 2 else "key"
        message = f"unknown {what}"
        near = _nearest(key, known)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    return Mistake(place=document.place(loc, key=True), loc=loc, message=message, hint=hint)


def _nearest(key: str | int, known: list[str]) -> str:
    return next(iter(difflib.get_close_matches(str(key), known, n=1, cutoff=0.6)), "")


def _missing(loc: Loc, *, document: Document, root: schemas.Schema) -> Mistake:
    hint = _what_it_is(schemas.at(root, loc))
    return Mistake(place=document.place(loc[:-1], key=True), loc=loc, message="this is missing", hint=hint)


def _counts_elsewhere(loc: Loc, content: object) -> bool:
    """Whether what is missing would not be asked of a gate of a kind that this version does not know."""
    match loc, content:
        case ("gates", int(at), str()), {"gates": list(gates)}:
            return isinstance(gates[at], dict) and not ELSEWHERE.isdisjoint(gates[at])
        case _:
            return False


def _wrong(
    loc: Loc, errors: list[ErrorDetails], *, document: Document, expanded: Expanded, root: schemas.Schema
) -> Mistake:
    part = schemas.at(root, loc)
    messages = list(dict.fromkeys(_sentence(error, part) for error in errors))
    message = " or ".join([messages[0], *(one.removeprefix("this must be ") for one in messages[1:])])
    hint = str(errors[0].get("ctx", {}).get("hint", "")) or _what_it_is(part)
    if loc in expanded.taken:
        # A validator may quote any part of what it refuses.
        plain = message if errors[0]["type"] in _WORDS else "the value of its variable is not accepted here"
        return Mistake(place=document.place(loc), loc=loc, message=plain, hint=_what_it_is(part))
    inside = [text for at, text in expanded.taken.items() if at[: len(loc)] == loc]
    if any(_reveals(message + hint, text) for text in inside):
        message, hint = "the values here do not go together", "look at those that come from variables"
    if errors[0]["type"] == "string_type" and isinstance(errors[0]["input"], int | float):
        hint = "put it in quotes"
    return Mistake(place=document.place(loc), loc=loc, message=message, hint=hint)


def _sentence(error: ErrorDetails, part: schemas.Schema | None) -> str:
    ctx = error.get("ctx", {})
    if error["type"] in ("value_error", "assertion_error"):
        return str(ctx["error"])
    if error["type"] == "rollout":
        return str(ctx["message"])
    if error["type"] in _WORDS:
        return _WORDS[error["type"]].format(**ctx)
    if error["type"] == "string_pattern_mismatch":
        return "this is not written as it must be"
    if error["input"] is None:
        return "this is empty"
    return f"this must be {part['type']}" if part and isinstance(part.get("type"), str) else "this is not accepted here"


def _reveals(message: str, secret: str) -> bool:
    """Whether a message holds the text or a run of four characters of it."""
    run = min(4, len(secret))
    return any(secret[at : at + run] in message for at in range(len(secret) - run + 1)) if secret else False


def _what_it_is(part: schemas.Schema | None) -> str:
    if part is None:
        return ""
    examples = part.get("examples") or part.get("enum") or []
    text = str(part.get("description", "")).strip()
    if examples and not isinstance(examples[0], dict | list):
        text = f"{text} For example: {examples[0]}".strip()
    return text
