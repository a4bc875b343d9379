"""What happened: the only things a journal holds. The state of a rollout is a fold over them.

`SCHEMA` grows when an event changes its meaning or its fields. A journal of a newer schema is refused, never guessed
at.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from rollout.core.decisions import Action
from rollout.core.plan import Plan, Weight
from rollout.core.release import Release
from rollout.core.verdict import Judgement

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A rollout began. It pins the plan and both releases."""

    at: datetime
    rollout: str
    release: Release
    stable: Release | None
    """The release that serves users; None for the first release of a service."""
    plan: Plan
    schema_version: int = SCHEMA
    kind: Literal["started"] = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """An effect is about to be tried. Written before it, so that a killed run can be taken up."""

    at: datetime
    action: Action
    kind: Literal["intended"] = "intended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An effect did not succeed."""

    at: datetime
    action: Action
    because: str
    permanent: bool
    """Whether another try is useless."""
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The canary runs and is ready, at weight 0."""

    at: datetime
    kind: Literal["deployed"] = "deployed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check against one version."""

    name: str
    version: Literal["canary", "stable"]
    passed: bool
    detail: str
    """What was expected and what came, one line."""
    output: str = ""
    """The first kilobytes of what the check printed or the service answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The checks ran."""

    at: datetime
    results: tuple[CheckResult, ...]
    kind: Literal["checked"] = "checked"

    @property
    def passed(self) -> bool:
        """Whether every check passed against both versions."""
        return all(result.passed for result in self.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The gateway accepted a weight. Soak has not begun: see WeightSeen."""

    at: datetime
    weight: Weight
    step: int
    kind: Literal["moved"] = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSeen:
    """The running gateway was seen to serve the weight of a step: its soak begins."""

    at: datetime
    weight: Weight
    step: int
    kind: Literal["weight_seen"] = "weight_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """The gateway serves another weight than was ordered."""

    at: datetime
    expected: Weight
    seen: Weight
    kind: Literal["drifted"] = "drifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict changed, or a decision rests on it."""

    at: datetime
    step: int
    judgement: Judgement
    kind: Literal["judged"] = "judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstancesSeen:
    """Another number of the canary's instances was ready than before, or one had restarted."""

    at: datetime
    ready: int
    """How many answer."""
    wanted: int
    """How many should."""
    restarts: int
    """Of all its processes, since it was deployed."""
    kind: Literal["instances_seen"] = "instances_seen"


class Order(StrEnum):
    """What a person can order."""

    PROMOTE = "promote"
    APPROVE = "approve"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded:
    """A person ordered something, and the order was in time and in place."""

    at: datetime
    order: Order
    by: str
    step: int
    """The step the person saw."""
    kind: Literal["commanded"] = "commanded"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefused:
    """Somebody who may order ordered something that was not in time or not in place. It changes nothing."""

    at: datetime
    order: str
    by: str
    because: str
    kind: Literal["order_refused"] = "order_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """The machine asks for a person."""

    at: datetime
    because: str
    kind: Literal["paused"] = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promoted:
    """The canary is the stable release; the former one is in reserve."""

    at: datetime
    kind: Literal["promoted"] = "promoted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """The gateway was seen to serve the release that is known to run, and nothing else."""

    at: datetime
    kind: Literal["rolled_back"] = "rolled_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """What gets no requests is stopped."""

    at: datetime
    kind: Literal["retired"] = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """The reserve is removed."""

    at: datetime
    kind: Literal["discarded"] = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The process that drove the rollout was told to stop. It says nothing about the release."""

    at: datetime
    signal: str
    kind: Literal["interrupted"] = "interrupted"


Event = (
    Started
    | Intended
    | Failed
    | Deployed
    | Checked
    | Moved
    | WeightSeen
    | Drifted
    | Judged
    | InstancesSeen
    | Commanded
    | OrderRefused
    | Paused
    | Promoted
    | RolledBack
    | Retired
    | Discarded
    | Interrupted
)
