"""What all controllers share: the store, the clock, the knobs, and what they noticed when. Alone it does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.kubernetes.kinds import Json, Kind, kind_of, meta
from tests.kubernetes.refusals import Refusal
from tests.kubernetes.store import Store, Writer

DEPLOYMENTS: Final = kind_of("deployments")
REPLICASETS: Final = kind_of("replicasets")
PODS: Final = kind_of("pods")
SERVICES: Final = kind_of("services")
SLICES: Final = kind_of("endpointslices")
ROUTES: Final = kind_of("httproutes")
INGRESSES: Final = kind_of("ingresses")
ROLLOUTS: Final = kind_of("rollouts")
ANALYSES: Final = kind_of("analysisruns")
EVENTS: Final = kind_of("events")


@dataclass
class Knobs:
    """How the cluster behaves; all times in seconds of its clock."""

    lag: float = 0.03
    """Until a controller notices a new generation: as long, status.observedGeneration is the old one."""
    ready_after: float = 0.02
    """From the start of a container to its readiness."""
    ending: float = 0.02
    """How long a pod stays `Terminating`."""
    route_lag: float = 0.0
    """From a change of a route to the gateway that serves it."""
    traffic_lag: float = 0.1
    """From a change of a Rollout's phase to its route and `status.canary.weights` (traps 4 and 5)."""
    unpullable: dict[str, str] = field(default_factory=dict)
    """Image to the reason of the waiting container: `ErrImagePull`, `ErrImageNeverPull`."""
    unready: set[str] = field(default_factory=set)
    """Images whose containers run and never get ready."""
    crashing: set[str] = field(default_factory=set)
    """Images whose containers end at once, again and again."""
    lines: dict[str, str] = field(default_factory=dict)
    """Image to what its containers write."""
    digests: dict[str, str] = field(default_factory=dict)
    """Image to the digest that `imageID` shows."""


@dataclass
class World:
    """The cluster as its controllers see it."""

    store: Store
    clock: Callable[[], float]
    knobs: Knobs = field(default_factory=Knobs)
    moments: dict[tuple[str, ...], float] = field(default_factory=dict)
    """When something was first seen, by whatever names it."""
    programmed: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    """What the gateway serves: plural, namespace and name to the object as of its last programming."""
    known: dict[str, str] = field(default_factory=dict)
    """The orders of each Rollout that its controller knows, by uid."""
    progress: dict[str, tuple[object, ...]] = field(default_factory=dict)
    """What each Rollout last had to show, by uid."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why each Rollout was aborted by itself, by uid."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self._zero = self.clock()

    def stamp(self) -> str:
        """The cluster's time, as objects carry it."""
        return (self.began + timedelta(seconds=self.clock() - self._zero)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def since(self, *what: str) -> float:
        """Seconds since this was first asked."""
        now = self.clock()
        return now - self.moments.setdefault(what, now)

    def forget(self, *what: str) -> None:
        """The next question for this is the first again."""
        self.moments.pop(what, None)

    def noticed(self, item: Json) -> bool:
        """Whether a controller may know this generation already."""
        data = meta(item)
        return self.since("generation", data["uid"], str(data.get("generation", 0))) >= self.knobs.lag

    def put_status(self, kind: Kind, item: Json, status: Json, *, by: str) -> None:
        """Write a status; no change is no write."""
        if item.get("status") == status:
            return
        writer = Writer(manager=by, subresource="status" if kind.status else "")
        self._gently(kind, item, lambda held: {**held, "status": status}, writer)
        item["status"] = status

    def change(self, kind: Kind, item: Json, change: Callable[[Json], Json], *, by: str, subresource: str = "") -> None:
        """Change an object as a controller does; one that has gone meanwhile is no error."""
        self._gently(kind, item, change, Writer(manager=by, subresource=subresource))

    def _gently(self, kind: Kind, item: Json, change: Callable[[Json], Json], writer: Writer) -> None:
        try:
            self.store.write(kind, meta(item).get("namespace", ""), meta(item)["name"], change, writer)
        except Refusal as refusal:
            if refusal.code != 404:
                raise

    def create(self, kind: Kind, namespace: str, item: Json, *, by: str) -> Json:
        """Make an object as a controller does."""
        return self.store.create(kind, namespace, item, Writer(manager=by))

    def tell(self, item: Json, *, reason: str, message: str, by: str, warning: bool = True) -> None:
        """An Event about an object; the same one again is none."""
        data = meta(item)
        name = f"{data['name']}.{abs(hash((data['uid'], reason, message))):016x}"
        held = self.store.find(EVENTS, data["namespace"], name)
        if held is not None:
            return
        about = {"kind": item["kind"], "namespace": data["namespace"], "name": data["name"], "uid": data["uid"]}
        event = {
            "metadata": {"name": name},
            "involvedObject": {**about, "apiVersion": item["apiVersion"]},
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "count": 1,
            "firstTimestamp": self.stamp(),
            "lastTimestamp": self.stamp(),
            "source": {"component": by},
        }
        self.create(EVENTS, data["namespace"], event, by=by)

    def delete(self, kind: Kind, item: Json) -> None:
        """Delete an object as a controller does; pods get their time to end."""
        data = meta(item)
        if not data.get("deletionTimestamp"):
            self.store.delete(kind, data["namespace"], data["name"], propagation="Background")

    def owned(self, kind: Kind, owner: Json) -> list[Json]:
        """The objects of a kind that an object controls."""
        uid = meta(owner)["uid"]
        items = self.store.list(kind, meta(owner)["namespace"])
        return [item for item in items if any(one["uid"] == uid for one in meta(item).get("ownerReferences") or ())]


def owned_by(owner: Json) -> list[Json]:
    """The reference to a controlling owner."""
    data = meta(owner)
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": data["name"],
            "uid": data["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def condition(status: Json, type_: str, *, value: bool, reason: str, message: str, now: str) -> list[Json]:
    """The conditions of a status with one of them set; its transition time moves only with its value."""
    told = "True" if value else "False"
    others = [one for one in status.get("conditions") or () if one["type"] != type_]
    before = next((one for one in status.get("conditions") or () if one["type"] == type_), None)
    same = before is not None and before["status"] == told
    if before is not None and same and (before["reason"], before["message"]) == (reason, message):
        return sorted([*others, before], key=lambda one: str(one["type"]))
    set_now = {
        "type": type_,
        "status": told,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": before["lastTransitionTime"] if before is not None and same else now,
    }
    return sorted([*others, set_now], key=lambda one: str(one["type"]))
