"""What the API server refuses, one class each, so that callers can tell a race from a missing permission.

It turns answers into errors and sends nothing. What it quotes is the server's own sentence, shortened; never a header.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rollout.errors import TargetBusy, TargetFailed

LONGEST: Final = 600
"""Characters of the server's sentence that are quoted."""

_CONFLICT: Final = re.compile(r'conflict with "([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A field and who else manages it."""

    manager: str
    field: str
    """Such as `.spec.replicas`."""


class NotThere(TargetFailed):
    """There is no such object, or the cluster does not know such objects at all."""

    def __init__(self, message: str, *, hint: str = "", kind_is_unknown: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.kind_is_unknown = kind_is_unknown


class Forbidden(TargetFailed):
    """We may not do this."""


class Invalid(TargetFailed):
    """The server does not accept what was sent."""


class AlreadyThere(TargetFailed):
    """An object of that name exists."""


class OwnedElsewhere(TargetFailed):
    """Somebody else manages the fields that were to be applied."""

    def __init__(self, message: str, *, hint: str = "", owned: tuple[Owned, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.owned = owned


class Stale(TargetBusy):
    """The object has changed since it was read: read again, decide again."""


def unreachable(silence: Exception, *, what: str, url: str) -> TargetBusy:
    """The server did not answer."""
    return TargetBusy(
        f"cannot {what}: {url} does not answer ({type(silence).__name__})",
        hint="Nothing is known to have changed; it is taken up again.",
    )


def refusal(status: int, body: bytes, *, retry_after: str | None, what: str) -> TargetFailed:
    """The error for an answer that is not a success."""
    said = _status(body)
    sentence = str(said.get("message") or f"HTTP {status}")[:LONGEST]
    message = f"cannot {what}: {sentence}"
    match status:
        case 401:
            return Forbidden(
                f"cannot {what}: the cluster does not accept the login",
                hint="Renew it (the token may have expired), or check the context.",
            )
        case 403:
            return Forbidden(message, hint="Grant this verb; docs/kubernetes-rbac.yaml has all that is needed.")
        case 404:
            return _not_there(said, message, what)
        case 409:
            return _conflict(said, message)
        case 400 | 405 | 406 | 413 | 415 | 422:
            return Invalid(message, hint="The object is not what this version of rollout expects; see the sentence.")
        case 429:
            return TargetBusy(message, hint="The API server asks for patience.", delay=_delay(retry_after))
        case _ if status >= 500:
            return TargetBusy(
                message, hint="The API server is in trouble; it is tried again.", delay=_delay(retry_after)
            )
        case _:
            return TargetFailed(message, hint=f"The API server answered with HTTP {status}.")


def _not_there(said: dict[str, Any], message: str, what: str) -> NotThere:
    if _details(said).get("name"):
        return NotThere(message, hint="Check the name and the namespace.")
    return NotThere(
        f"cannot {what}: the cluster does not know this kind of object",
        hint="Install its CustomResourceDefinition, or check the version of the API.",
        kind_is_unknown=True,
    )


def _conflict(said: dict[str, Any], message: str) -> TargetFailed:
    if said.get("reason") == "AlreadyExists":
        return AlreadyThere(message, hint="Remove it, or give it another name.")
    owned = tuple(
        Owned(manager=_manager(str(cause.get("message", ""))), field=str(cause.get("field", "")))
        for cause in _details(said).get("causes") or ()
        if isinstance(cause, dict) and cause.get("reason") == "FieldManagerConflict"
    )
    if owned:
        return OwnedElsewhere(message, hint="Have one manager for each field.", owned=owned)
    return Stale(message, hint="Somebody else has just changed it; it is read again.", delay=timedelta(seconds=1))


def _manager(text: str) -> str:
    found = _CONFLICT.search(text)
    return found[1] if found else text[:100]


def _status(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) and said.get("kind") == "Status" else {}


def _details(said: dict[str, Any]) -> dict[str, Any]:
    details = said.get("details")
    return details if isinstance(details, dict) else {}


def _delay(retry_after: str | None) -> timedelta:
    """What a Retry-After header in seconds asks for, within 1 s and 1 min; 2 s without one."""
    seconds = int(retry_after) if retry_after is not None and retry_after.isdecimal() else 2
    return timedelta(seconds=min(60, max(1, seconds)))
