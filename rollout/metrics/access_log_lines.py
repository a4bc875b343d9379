"""What one line of nginx's JSON access log says about the version that answered: pure, no file is touched here."""

from __future__ import annotations

import json
import math
from typing import Final, NamedTuple

_OVERRIDES: Final = frozenset({"cookie", "header", "domain"})
"""Reasons for a version that a tester forced. Such requests are no sample of the users' traffic."""


class Kind(NamedTuple):
    """What lines are counted by. The fields are the labels of the counter."""

    service: str
    version: str
    code: str
    release: str


class Entry(NamedTuple):
    """One request."""

    at: float
    """When nginx wrote the line, in seconds since 1970."""
    kind: Kind | None
    """None for a request that does not count, as a tester forced its version."""


def read_line(line: bytes) -> Entry | None:
    """The request of a line, or None where the line is not one that the nginx target writes.

    nginx leaves bytes above 127 as the client sent them, so a line need not be UTF-8: such bytes are replaced, else
    a client could make lines unreadable at will.
    """
    try:
        fields = json.loads(line.decode("utf-8", "replace"))
        at = float(fields["ts"])
        version = fields["version"]
        status = str(fields["status"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not (math.isfinite(at) and isinstance(version, str) and version):
        return None
    if fields.get("why") in _OVERRIDES:
        return Entry(at=at, kind=None)
    code = own_status(status, _text(fields, "upstream_status"), _text(fields, "upstream_addr"))
    kind = Kind(service=_text(fields, "service"), version=version, code=code, release=_text(fields, "release"))
    return Entry(at=at, kind=kind)


def own_status(status: str, upstream_status: str, upstream_addr: str) -> str:
    """The status that the chosen version itself gave, whatever the client got in the end.

    nginx lists all tries, separated by `, ` and, after an internal redirect, ` : ` (ngx_http_upstream_module,
    `$upstream_status`). The first try goes to the chosen version; a later one at another address is the answer of
    somebody else. A second try at the *same* address is nginx finding a kept-alive connection closed: there the
    later status is the version's. Where no upstream was asked, the client's status is all there is.
    """
    if upstream_status.isdigit():
        return upstream_status
    statuses = _tries(upstream_status)
    if not statuses or not statuses[0].isdigit():
        return status
    addresses = _tries(upstream_addr)
    own = statuses[0]
    if len(addresses) == len(statuses):
        for address, later in zip(addresses[1:], statuses[1:], strict=True):
            if address != addresses[0] or not later.isdigit():
                break
            own = later
    return own


def _tries(text: str) -> list[str]:
    return [one.strip() for one in text.replace(" : ", ", ").split(",")] if text else []


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else str(value)
