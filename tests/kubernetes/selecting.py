"""Label and field selectors, as LIST and WATCH take them. Pure."""

from __future__ import annotations

import re

from tests.kubernetes.kinds import Json, Node, labels_of
from tests.kubernetes.refusals import bad_request


def chosen(item: Json, *, labels: str, fields: str) -> bool:
    """Whether an object is meant. Raises Refusal 400 for a selector that cannot be read."""
    return all(_label(item, one) for one in _split(labels)) and all(_field(item, one) for one in _split(fields))


def has_labels(wanted: dict[str, str] | None, labels: dict[str, str]) -> bool:
    """Whether labels meet a plain selector; one without entries meets nothing."""
    return bool(wanted) and (wanted or {}).items() <= labels.items()


def _split(selector: str) -> list[str]:
    return [part.strip() for part in re.split(r",(?![^(]*\))", selector) if part.strip()]


def _label(item: Json, term: str) -> bool:
    labels = labels_of(item)
    if found := re.fullmatch(r"([\w./-]+)\s+(in|notin)\s+\(([^)]*)\)", term):
        values = {value.strip() for value in found[3].split(",")}
        inside = labels.get(found[1]) in values
        return inside if found[2] == "in" else not inside
    if found := re.fullmatch(r"([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)", term):
        same = labels.get(found[1]) == found[3]
        return not same if found[2] == "!=" else same
    if found := re.fullmatch(r"(!?)([\w./-]+)", term):
        return (found[2] in labels) != bool(found[1])
    raise bad_request(f"unable to parse requirement: found '{term}'")


def _field(item: Json, term: str) -> bool:
    found = re.fullmatch(r"([\w.]+)\s*(==|=|!=)\s*(.*)", term)
    if found is None:
        raise bad_request(f"invalid field selector: {term}")
    at: Node = item
    for part in found[1].split("."):
        at = at.get(part) if isinstance(at, dict) else None
    same = str(at if at is not None else "") == found[3]
    return not same if found[2] == "!=" else same
