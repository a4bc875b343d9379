"""What is wrong with a value, in the words of the file and with the next thing to do; no word of the library's.

A value that came from the environment is in no message, not even in part.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from pydantic_core import ErrorDetails

from rollout.config import gates
from rollout.config import schema as schemas
from rollout.config.document import Document, Loc, Mistake
from rollout.config.variables import Expanded

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
    "union_tag_not_found": "this must be a mapping of keys to values",
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
        if not (error["type"] == "union_tag_not_found" and isinstance(error["input"], dict)):  # the rules say why
            together[_where(error, document)].append(error)
    misspelt = {loc for loc, found in together.items() if found[0]["type"] == "extra_forbidden"}
    for loc, found in together.items():
        if found[0]["type"] == "extra_forbidden":
            yield _unknown(loc, document=document, content=expanded.content, root=root)
        elif found[0]["type"] == "missing":
            meant = any(one[:-1] == loc[:-1] and _nearest(one[-1], [str(loc[-1])]) for one in misspelt)
            if not meant and not _of_no_kind(loc, expanded.content):
                yield _missing(loc, document=document, content=expanded.content, root=root)
        else:
            yield _wrong(loc, found, document=document, expanded=expanded, root=root)


def _where(error: ErrorDetails, document: Document) -> Loc:
    """The location in the file: pydantic adds the branches of a union behind it, and the kind behind a gate."""
    loc: Loc = tuple(error["loc"])
    if loc[:1] == ("gates",):
        loc = (*loc[:2], *loc[3:])
    if error["type"] == "missing":
        return (*_where_value(loc[:-1], document), loc[-1])
    return _where_value(loc, document)


def _where_value(loc: Loc, document: Document) -> Loc:
    while loc and loc not in document.values:
        loc = loc[:-1]
    return loc


def _part(root: schemas.Schema, loc: Loc, content: object) -> schemas.Schema | None:
    """The part of the schema for a location; for one in a gate, that of the gate's kind."""
    match loc, content:
        case ("gates", int(at), *rest), {"gates": list(items)}:
            kind = gates.kind_of(items[at])
            return schemas.at(root, ("gates", at, *([kind.tag] if kind is not None else []), *rest))
        case _:
            return schemas.at(root, loc)


def _unknown(loc: Loc, *, document: Document, content: object, root: schemas.Schema) -> Mistake:
    *parents, key = loc
    above = _part(root, tuple(parents), content) or {}
    known = list(above.get("properties", {}))
    section = str(loc[0])
    if section == "gates" and len(loc) == 3 and (owners := gates.owners(str(key))):
        with_ = " or ".join(kind.words for kind in owners)
        message, hint = f"`{key}` belongs to a gate with {with_}", f"leave it out; this kind knows {', '.join(known)}"
    else:
        what = _SECTIONS.get(section, "key") if len(loc) == 2 else "key"
        message = f"unknown {what}"
        near = _nearest(key, known)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    return Mistake(place=document.place(loc, key=True), loc=loc, message=message, hint=hint)


def _nearest(key: str | int, known: list[str]) -> str:
    return next(iter(difflib.get_close_matches(str(key), known, n=1, cutoff=0.6)), "")


def _missing(loc: Loc, *, document: Document, content: object, root: schemas.Schema) -> Mistake:
    hint = _what_it_is(_part(root, loc, content))
    return Mistake(place=document.place(loc[:-1], key=True), loc=loc, message="this is missing", hint=hint)


def _of_no_kind(loc: Loc, content: object) -> bool:
    """Whether what is missing is what would tell the kind of a gate: the rules say so once for all of its keys."""
    match loc, content:
        case ("gates", int(at), str(key)), {"gates": list(items)}:
            says = gates.named(items[at]) or gates.misspelt(items[at])
            return not says and any(key in kind.named_by for kind in gates.KINDS)
        case _:
            return False


def _wrong(
    loc: Loc, errors: list[ErrorDetails], *, document: Document, expanded: Expanded, root: schemas.Schema
) -> Mistake:
    part = _part(root, loc, expanded.content)
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
