"""Whole rollouts made up for reports: the real machine and the real judge, over traffic of which the truth is known."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from rollout.core.gates import FailureGate, Gate, LatencyGate, QueryGate
from rollout.core.instances import instances_result
from rollout.core.machine import Observation, decide
from rollout.core.plan import NOTHING, Plan, Step, Weight
from rollout.core.release import Release
from rollout.core.state import Phase, State, fold
from rollout.core.verdict import Judgement, combine
from rollout.report.durations import Quantile, quantiles_of

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
STABLE = Release(tag="v1.3.2", image="ghcr.io/example/chat", digest="sha256:" + "1a" * 32, commit="ab" * 20)
CANARY = Release(tag="v1.4.0", image="ghcr.io/example/chat", digest="sha256:" + "2b" * 32, commit="cd" * 20)
SECOND = timedelta(seconds=1)


def _gate(name: str, limit: float | None, ratio: float | None) -> FailureGate:
    total = selector.parse('requests_total{version="$version"}')
    failures = selector.parse('requests_total{version="$version", code=~"5.."}')
    return FailureGate(name=name, failures=failures, total=total, max=limit, max_ratio=ratio, min_requests=20)


LATENCY = LatencyGate(name="latency", histogram=selector.parse('seconds_bucket{version="$version"}'), min_requests=20)
MEMORY = QueryGate(name="memory", query='memory_megabytes{version="$version"}', max=512.0, scrapes=5)
BOUNDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
"""Where the made-up histogram has buckets, in seconds."""


def plan(*weights: float, soak: int = 12, approve: float | None = None, more: tuple[Gate, ...] = ()) -> Plan:
    """A plan of these weights, looked at each second, with a gate for requests, one for a language model, and more."""
    steps = tuple(
        Step(weight=Weight(weight), soak=soak * SECOND, approve=weight == approve)
        for weight in weights or (0, 1, 5, 10, 25, 50, 100)
    )
    return Plan(
        service="chat",
        environment="production",
        steps=steps,
        gates=(_gate("http 5xx", 0.02, None), _gate("llm failures", None, 1.5), *more),
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
    slower: float = 1.0
    """How many times as long as stable the canary takes."""
    memory: float = 400.0
    """What the canary takes from a tenth of the traffic on, in megabytes; NaN is what Prometheus gives for 0/0."""
    restarts: Mapping[int, int] = field(default_factory=dict)
    """By the second since the start: how often the canary has restarted by then; it is not ready in that second."""
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
    tick: timedelta = SECOND
    """How long it is from one tick to the next."""
    events: list[Event] = field(default_factory=list)
    gateway: Weight = NOTHING
    judgement: Judgement | None = None
    then: Wait | Finish | None = None
    counters: dict[tuple[str, str, str], _Growing] = field(default_factory=dict)
    values: dict[str, list[Sample]] = field(default_factory=lambda: {"canary": [], "stable": []})
    restarted: int = 0
    ready: int = 2
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    clockwork: random.Random = field(default_factory=lambda: random.Random(11))

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

    @property
    def quantiles(self) -> dict[str, Mapping[str, tuple[Quantile, ...]]]:
        """How long both versions took, of every latency gate."""
        blocks = self.blocks
        return {
            gate.name: quantiles_of(self._reading(gate), blocks[gate.name])
            for gate in self.plan.gates
            if isinstance(gate, LatencyGate)
        }

    def run(self, seconds: int = 600) -> Story:
        """Live for that many seconds, or to the end."""
        for _ in range(seconds):
            self.second()
            if isinstance(self.then, Finish):
                break
        return self

    def second(self) -> None:
        """Traffic for one tick's length (a second, if nobody says otherwise), then the tick."""
        self.now += self.tick
        self._traffic()
        since = round((self.now - NOON).total_seconds())
        self.restarted = self.restarts.get(since, self.restarted)
        self.ready = 1 if since in self.restarts else 2
        order = self.orders.get(since)
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
            canary_restarts=self.restarted,
            canary_instances=(self.ready, 2),
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
            match gate:
                case FailureGate():
                    failed = sum(self.dice.random() < failing.get(gate.name, 0.004) for _ in range(requests))
                    self._counter(version, gate.name, "total").scrape(self.now, max(0, requests))
                    self._counter(version, gate.name, "failures").scrape(self.now, failed)
                case LatencyGate():
                    times = self.slower if version == "canary" else 1.0
                    took = [times * 0.12 * self.clockwork.lognormvariate(0, 0.45) for _ in range(requests)]
                    for bound in (*BOUNDS, math.inf):
                        counter = self._counter(version, gate.name, f"{bound:g}")
                        counter.scrape(self.now, sum(one <= bound for one in took))
                case QueryGate():
                    busy = version == "canary" and self.gateway.percent >= 10
                    value = self.memory if busy else 400.0
                    self.values[version].append(Sample(at=self.now, value=value + self.clockwork.uniform(-9, 9)))

    def _counter(self, version: str, gate: str, kind: str) -> _Growing:
        return self.counters.setdefault((version, gate, kind), _Growing())

    def _counters(self, version: str, gate: Gate) -> Counters:
        match gate:
            case FailureGate():
                total, failures = (self._counter(version, gate.name, kind) for kind in ("total", "failures"))
                return Counters(total=total.series(version), failures=failures.series(version))
            case LatencyGate():
                return Counters(
                    buckets=tuple(
                        replace(one, labels={**one.labels, "le": f"{bound:g}"})
                        for bound in (*BOUNDS, math.inf)
                        for one in self._counter(version, gate.name, f"{bound:g}").series(version)
                    )
                )
            case QueryGate():
                return Counters(values=tuple(self.values[version]))

    def _reading(self, gate: Gate) -> Reading:
        asked = tuple(gate.of(version) for version in ("canary", "stable")) if isinstance(gate, QueryGate) else ()
        return Reading(
            gate=gate,
            canary=self._counters("canary", gate),
            stable=self._counters("stable", gate),
            queries=asked or (f'made_up{{gate="{gate.name}"}}',),
        )

    def _timeline(self) -> Timeline:
        state = self.state
        deployed = state.deployed_at or state.started_at
        start = state.checked.at if state.checked is not None else deployed
        return Timeline(start=start, deployed_at=deployed, seen_at=state.seen_at, weights=state.served)

    def _judge(self) -> Judgement:
        judged = judge(
            self.plan,
            [self._reading(gate) for gate in self.plan.gates],
            timeline=self._timeline(),
            canary_release=self.release.tag,
            stable_release=self.stable.tag if self.stable is not None else "",
            now=self.now,
        )
        instances = instances_result(self.state, restarts=self.restarted, ready=self.ready, wanted=2, now=self.now)
        return combine((*judged.gates, instances), until=judged.until)


def good() -> Story:
    """A good release, to its promotion."""
    return Story(plan=plan()).run()


def bad() -> Story:
    """A release that fails a fifth of its model calls and a twentieth of its requests, to its rollback."""
    return Story(plan=plan(), failing={"http 5xx": 0.05, "llm failures": 0.2}).run()


def every_gate() -> Plan:
    """A plan with a gate of every kind, one of which is only observed."""
    observed = replace(LATENCY, name="latency p99", quantile=0.99, max_increase=0.5, observe=True)
    return plan(more=(LATENCY, observed, MEMORY))


def fine() -> Story:
    """A good release under a gate of every kind, to its promotion."""
    return Story(plan=every_gate()).run()


def slow() -> Story:
    """A release that takes twice as long as stable, to its rollback."""
    return Story(plan=every_gate(), slower=2.0).run()


def hungry() -> Story:
    """A release that takes more memory than it may, and is held for it."""
    return Story(plan=every_gate(), memory=640.0).run(70)


def restarting() -> Story:
    """A release whose processes restart until that is too much, to its rollback."""
    return Story(plan=every_gate(), restarts={22: 1, 31: 2, 40: 3}).run()
