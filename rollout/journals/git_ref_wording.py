"""What the commits of a git-ref journal say, for whoever reads `git log`. Nothing is ever read back from it."""

from __future__ import annotations

import re
from typing import Final

from rollout.core.decisions import Action, MoveTraffic, RollBack
from rollout.core.events import (
    Commanded,
    Drifted,
    Event,
    Failed,
    Intended,
    Judged,
    Moved,
    OrderRefused,
    Started,
    WeightSeen,
)

_LONGEST: Final = 100
_STRANGE: Final = re.compile(r"[^\w .,:;%()/+-]+")
"""Not `#`, `@` or a line break: GitHub would link an issue, or call a person, from a commit message."""


def message(subject: str, *, nonce: str, ref: str) -> str:
    """A commit message. The nonce keeps two writers from making the same commit, which both would take for theirs.

    Under a branch it asks that no workflow runs because of it.
    """
    plain = _STRANGE.sub("_", subject)
    cut = plain if len(plain) <= _LONGEST else plain[: _LONGEST - 3] + "..."
    silent = "[skip ci]\n\n" if ref.startswith("refs/heads/") else ""
    return f"{cut}\n\n{silent}Rollout-Write: {nonce}\n"


def saying(rollout: str, events: tuple[Event, ...]) -> str:
    """The events of one write in a line: `12-v2: intended move_traffic 5 %`."""
    return f"{rollout}: {', '.join(map(_words, events))}"


def _words(event: Event) -> str:
    match event:
        case Started():
            return f"started {event.release.tag}"
        case Intended():
            return f"intended {_action(event.action)}"
        case Failed():
            return f"failed {_action(event.action)}"
        case Moved() | WeightSeen():
            return f"{event.kind} {event.weight}"
        case Drifted():
            return f"drifted {event.expected} to {event.seen}"
        case Judged():
            return f"judged {event.judgement.verdict}"
        case Commanded():
            return f"{event.by} ordered {event.order}"
        case OrderRefused():
            return f"refused {event.order} of {event.by}"
        case _:
            return event.kind


def _action(action: Action) -> str:
    match action:
        case MoveTraffic():
            return f"{action.kind} {action.weight}"
        case RollBack():
            return f"{action.kind} ({action.cause})"
        case _:
            return action.kind
