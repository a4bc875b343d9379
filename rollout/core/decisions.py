"""What is to be done next: the orders the machine gives, and nothing about how they are carried out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from rollout.core.plan import Weight

if TYPE_CHECKING:
    from rollout.core.events import Event


class Cause(StrEnum):
    """Why a rollout goes back to stable: a closed list, for programs."""

    UNHEALTHY = "unhealthy"
    BLIND = "blind"
    ORDERED = "ordered"
    DEPLOY_FAILED = "deploy_failed"
    CHECKS_FAILED = "checks_failed"
    CANARY_DIED = "canary_died"
    WRONG_IMAGE = "wrong_image"
    RESTARTED = "restarted"
    UNREADY = "unready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """Run the release as the canary, at weight 0, until it is ready."""

    kind: Literal["deploy"] = "deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChecks:
    """Run the configured checks against the canary and against stable."""

    kind: Literal["run_checks"] = "run_checks"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTraffic:
    """Give the canary the weight of a step."""

    weight: Weight
    step: int
    kind: Literal["move_traffic"] = "move_traffic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    """Make the canary the stable release; the former one stays in reserve."""

    kind: Literal["promote"] = "promote"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """All traffic to the release that is known to run, now."""

    cause: Cause
    because: str
    kind: Literal["roll_back"] = "roll_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire:
    """Stop what no longer gets requests: the rolled-back canary, or the former stable release, which is kept."""

    kind: Literal["retire"] = "retire"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Remove the reserve: the former stable release is no longer a way back."""

    kind: Literal["discard"] = "discard"


Action = Deploy | RunChecks | MoveTraffic | Promote | RollBack | Retire | Discard


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do before `until`; `person` says that only a person can move the rollout on."""

    until: datetime
    reason: str
    person: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The rollout is over; `leftover` names what could not be cleaned up."""

    outcome: Outcome
    leftover: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The facts noted change the picture: look and decide once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Facts to write into the journal first, then what to do."""

    then: Action | Wait | Finish | Again
    noting: tuple[Event, ...] = ()
