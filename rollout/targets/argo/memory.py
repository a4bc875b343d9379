"""What the target must remember of its own work, kept on the Rollout itself so that any process finds it.

It is the template to go back to, and the last log lines of a canary that is gone. Nothing secret is in it that is not
in the Rollout's template or the pods' logs anyway. A note that cannot be understood is reported and never overwritten.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from rollout.core.release import Release
from rollout.errors import TargetFailed

NOTE: Final = "rollout-orchestrator/argo"
"""The annotation on the Rollout."""
LONGEST_LOG: Final = 8000
"""Characters of a log that are kept; all annotations of an object may have 256 KiB together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The stable version at the moment when a canary was deployed."""

    release: Release | None
    """None where nothing was released yet."""
    template: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What is noted of the last rollout."""

    rollout: str = ""
    before: Before | None = None
    """What its canary was deployed beside; None once it was discarded."""
    taken_back: Release | None = None
    """What was promoted, once it was ordered back: from then on its reserve is the way, even for another process."""
    log: str = ""

    def without_way_back(self) -> Memory:
        """The same once the reserve was discarded."""
        return replace(self, before=None)

    def with_log(self, text: str) -> Memory:
        """The same with the end of a log, where there is one."""
        return replace(self, log=text[-LONGEST_LOG:]) if text else self


def dump(memory: Memory) -> str:
    """The annotation's value."""
    before = memory.before
    return json.dumps(
        {
            "version": 1,
            "rollout": memory.rollout,
            "before": None if before is None else {"release": _plain(before.release), "template": before.template},
            "taken_back": _plain(memory.taken_back),
            "log": memory.log,
        },
        separators=(",", ":"),
    )


def load(text: str | None, *, where: str) -> Memory:
    """The memory in an annotation's value. Raises TargetFailed where it cannot be understood."""
    if text is None:
        return Memory()
    try:
        noted = json.loads(text)
        if noted["version"] != 1:
            raise TargetFailed(
                f"the note on {where} was written by another version of rollout ({noted['version']!r})",
                hint="Use that version, or end its rollout with it first.",
            )
        before = noted["before"]
        return Memory(
            rollout=str(noted["rollout"]),
            before=None
            if before is None
            else Before(release=_release(before["release"]), template=dict(before["template"])),
            taken_back=_release(noted["taken_back"]),
            log=str(noted["log"]),
        )
    except (ValueError, KeyError, TypeError):
        raise TargetFailed(
            f"the annotation {NOTE} on {where} cannot be understood, so nothing is done",
            hint=f"Somebody else changed it. Bring the Rollout to a stable state by hand, then remove {NOTE}.",
        ) from None


def _plain(release: Release | None) -> dict[str, str] | None:
    if release is None:
        return None
    return {"tag": release.tag, "image": release.image, "digest": release.digest, "commit": release.commit}


def _release(noted: dict[str, str] | None) -> Release | None:
    return Release(**noted) if noted is not None else None
