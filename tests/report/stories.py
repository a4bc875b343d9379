"""Whole rollouts made up for reports: the real machine and the real judge, over traffic of which the truth is known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rollout.analysis.blocks import Block, Timeline
from rollout.analysis.counters import Sample, Series
from rollout.analysis.judge import blocks_of, judge
from rollout.analysis.readings import Counters, Reading
from rollout.core import selector
from rollout.core.decisions import (
    Action,
    Again,
    Deploy,
    Discard,
    Finish,
    MoveTraffic,
    Promote,
    Retire,
    RollBack,
    RunChecks,
    Wait,
)
from rollout.core.events import (
    Checked,
    CheckResult,
    Commanded,
    Deployed,
    Discarded,
    Event,
    Intended,
    Moved,
    Order,
    Promoted,
    Retired,
    RolledBack,
    Started,
)
from rollout.core.gates import FailureGate, Gate
from rollout.core.machine import Observation, decide
from rollout.core.plan import NOTHING, Plan, Step, Weight
from rollout.core.release import Release
from rollout.core.state import Phase, State, fold
from rollout.core.verdict import Judgement

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
STABLE = Release(tag="v1.3.2", image="ghcr.io/example/chat", digest="sha256:" + "1a" * 32, commit="ab" * 20)
CANARY = Release(tag="v1.4.0", image="ghcr.io/example/chat", digest="sha256:" + "2b" * 32, commit="cd" * 20)
SECOND = timedelta(seconds=1)


def _gate(name: str, limit: float | None, ratio: float | None) -> FailureGate:
    total = selector.parse('requests_total{version="$version"}')
    failures = selector.parse('requests_total{version="$version", code=~"5.."}')
    return FailureGate(name=name, failures=failures, total=total, max=limit, max_ratio=ratio, min_requests=20)


def plan(*weights: float, soak: int = 12, approve: float | None = None) -> Plan:
    """A plan of these weights, looked at each second, with a gate for requests and one for a language model."""
    steps = tuple(
        Step(weight=Weight(weight), soak=soak * SECOND, approve=weight == approve)
        for weight in weights or (0, 1, 5, 10, 25, 50, 100)
    )
    return Plan(
        service="chat",
        environment="production",
        steps=steps,
        gates=(_gate("http 5xx", 0.02, None), _gate("llm failures", None, 1.5)),
        interval=SECOND,
        warm_up=timedelta(0),
        drain=2 * SECOND,
    )


@dataclass
class _Growing:
    """One counter, as it was scraped."""

    value: float = 0.0
    samples: list[Sample] = field(default_factory=list)

    def scrape(self, at: datetime, grown: float) -> None:
        self.value += grown
        self.samples.append(Sample(at=at, value=self.value))

    def series(self, instance: str) -> tuple[Series, ...]:
        return (Series(labels={"instance": instance}, samples=tuple(self.samples)),) if self.samples else ()


@dataclass
class Story:
    """A rollout second by second; `failing` is how the canary fails each gate."""

    plan: Plan
    failing: Mapping[str, float] = field(default_factory=dict)
    rps: int = 150
    stable: Release | None = STABLE
    release: Release = CANARY
    orders: Mapping[int, tuple[Order, str]] = field(default_factory=dict)
    """By the second since the start."""
    checks: tuple[CheckResult, ...] = (
        CheckResult(name="GET /api/health", version="canary", passed=True, detail="got 200 after 3 ms", output="ok"),
        CheckResult(name="GET /api/health", version="stable", passed=True, detail="got 200 after 2 ms", output="ok"),
    )
    now: datetime = NOON
    events: list[Event] = field(default_factory=list)
    gateway: Weight = NOTHING
    judgement: Judgement | None = None
    then: Wait | Finish | None = None
    counters: dict[tuple[str, str, str], _Growing] = field(default_factory=dict)
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.events.append(
            Started(at=self.now, rollout="12-v1.4.0", release=self.release, stable=self.stable, plan=self.plan)
        )

    @property
    def state(self) -> State:
        state = fold(self.events)
        assert state is not None
        return state

    @property
    def blocks(self) -> dict[str, tuple[Block, ...]]:
        """The counts of every gate up to now."""
        return {
            gate.name: blocks_of(
                self._reading(gate),
                plan=self.plan,
                timeline=self._timeline(),
                canary_release=self.release.tag,
                stable_release=self.stable.tag if self.stable is not None else "",
                now=self.now,
            )
            for gate in self.plan.gates
        }

    def run(self, seconds: int = 600) -> Story:
        """Live for that many seconds, or to the end."""
        for _ in range(seconds):
            self.second()
            if isinstance(self.then, Finish):
                break
        return self

    def second(self) -> None:
        """Traffic for one second, then one tick."""
        self.now += SECOND
        self._traffic()
        order = self.orders.get(round((self.now - NOON).total_seconds()))
        if order is not None:
            self.events.append(Commanded(at=self.now, order=order[0], by=order[1], step=self.state.step))
        self.then = None
        while self.then is None:
            self._turn()

    def _turn(self) -> None:
        state = self.state
        self.judgement = self._judge() if state.phase is Phase.STEPPING else self.judgement
        seen = Observation(
            weight=self.gateway,
            canary_digest=state.release.digest,
            judgement=self.judgement if state.phase is Phase.STEPPING else None,
        )
        decision = decide(state, seen, self.now)
        self.events.extend(decision.noting)
        match decision.then:
            case Wait() | Finish():
                self.then = decision.then
            case Again():
                pass
            case _:
                self.events.append(Intended(at=self.now, action=decision.then))
                self.events.append(self._effect(decision.then, self.now + timedelta(milliseconds=180)))

    def _effect(self, action: Action, at: datetime) -> Event:
        match action:
            case Deploy():
                return Deployed(at=at)
            case RunChecks():
                return Checked(at=at, results=self.checks)
            case MoveTraffic(weight=weight, step=step):
                self.gateway = weight
                return Moved(at=at, weight=weight, step=step)
            case Promote():
                self.gateway = NOTHING
                return Promoted(at=at)
            case RollBack():
                self.gateway = NOTHING
                return RolledBack(at=at)
            case Retire():
                return Retired(at=at)
            case Discard():
                return Discarded(at=at)

    def _traffic(self) -> None:
        canary = round(self.rps * self.gateway.percent / 100 + self.dice.uniform(-0.4, 0.4))
        if canary or self.gateway > NOTHING:
            self._serve("canary", max(0, canary), self.failing)
        elif self.state.deployed_at is not None:
            self._serve("canary", 0, self.failing)
        self._serve("stable", self.rps - max(0, canary) + self.dice.randint(-4, 4), {})

    def _serve(self, version: str, requests: int, failing: Mapping[str, float]) -> None:
        for gate in self.plan.gates:
            failed = sum(self.dice.random() < failing.get(gate.name, 0.004) for _ in range(requests))
            self.counters.setdefault((version, gate.name, "total"), _Growing()).scrape(self.now, max(0, requests))
            self.counters.setdefault((version, gate.name, "failures"), _Growing()).scrape(self.now, failed)

    def _series(self, version: str, gate: FailureGate) -> Counters:
        def one(kind: str) -> tuple[Series, ...]:
            return self.counters.get((version, gate.name, kind), _Growing()).series(version)

        return Counters(total=one("total"), failures=one("failures"))

    def _reading(self, gate: Gate) -> Reading:
        assert isinstance(gate, FailureGate), "no other gate has made-up traffic"
        return Reading(gate=gate, canary=self._series("canary", gate), stable=self._series("stable", gate))

    def _timeline(self) -> Timeline:
        state = self.state
        deployed = state.deployed_at or state.started_at
        start = state.checked.at if state.checked is not None else deployed
        return Timeline(start=start, deployed_at=deployed, seen_at=state.seen_at, weights=state.served)

    def _judge(self) -> Judgement:
        return judge(
            self.plan,
            [self._reading(gate) for gate in self.plan.gates],
            timeline=self._timeline(),
            canary_release=self.release.tag,
            stable_release=self.stable.tag if self.stable is not None else "",
            now=self.now,
        )


def good() -> Story:
    """A good release, to its promotion."""
    return Story(plan=plan()).run()


def bad() -> Story:
    """A release that fails a fifth of its model calls and a twentieth of its requests, to its rollback."""
    return Story(plan=plan(), failing={"http 5xx": 0.05, "llm failures": 0.2}).run()
