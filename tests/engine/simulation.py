"""A world to try the engine in: a gateway, users, monitoring and a clock, and processes that can die in it.

The world goes on when a process dies, as the real one does. Nothing here decides anything about a rollout; the journal
is the real one, on disk.
"""

from __future__ import annotations

import hashlib
import math
import socket
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollout import engine
from rollout.analysis.counters import Sample, Series
from rollout.core.commands import Refusal, accept
from rollout.core.decisions import Decision, Finish
from rollout.core.events import CheckResult, Commanded, Event, Order, Started
from rollout.core.finding import Finding
from rollout.core.gates import FailureGate
from rollout.core.machine import Observation
from rollout.core.plan import NOTHING, Plan, Step, Weight
from rollout.core.release import Release
from rollout.core.selector import Selector, parse
from rollout.core.state import State, fold
from rollout.engine import Ports
from rollout.errors import RolloutError, SourceUnavailable, TargetBusy, TargetFailed
from rollout.journals.base import Lease, Record
from rollout.journals.file import FileJournal
from rollout.targets.base import Health, Instance, Seen

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCRAPE = timedelta(seconds=5)
REQUESTS = 60.0
"""Requests of all users together, each second."""
STARTUP = timedelta(seconds=2)
"""How long a container takes to become ready."""
GATE = FailureGate(
    name="http 5xx",
    failures=parse('http_requests_total{version="$version", code="500"}'),
    total=parse('http_requests_total{version="$version"}'),
    max=0.02,
)


def plan_of(*steps: tuple[float, int], approve: tuple[float, ...] = ()) -> Plan:
    """A plan from weights in percent and soaks in seconds; `approve` names the weights that wait for a person."""
    return Plan(
        service="chat",
        environment="production",
        steps=tuple(
            Step(weight=Weight(percent), soak=timedelta(seconds=soak), approve=percent in approve)
            for percent, soak in steps
        ),
        gates=(GATE,),
        interval=timedelta(seconds=10),
        warm_up=timedelta(0),
    )


def release_of(tag: str) -> Release:
    """The release that the registry has under a tag."""
    return Release(tag=tag, image="example/chat", digest="sha256:" + hashlib.sha256(tag.encode()).hexdigest())


class Killed(BaseException):
    """The process is gone: what it would have done next does not happen."""


class Life:
    """One process: it passes boundaries before and after each effect and each write, and may end at one of them."""

    def __init__(self, *, ends_at: int | None = None, by: Callable[[], BaseException] = Killed) -> None:
        self.passed: list[str] = []
        self._ends_at = ends_at
        self._by = by
        self._dead = False

    def at(self, name: str) -> None:
        """One boundary is passed, or not."""
        if self._dead:
            raise Killed
        self.passed.append(name)
        assert len(self.passed) < 1000, "the rollout comes to no end"
        if len(self.passed) - 1 == self._ends_at:
            ending = self._by()
            self._dead = isinstance(ending, Killed)
            raise ending


@dataclass
class Container:
    """One container on the machine."""

    name: str
    release: Release
    health: Health = Health.UNREADY
    stopped: bool = False
    restarts: int = 0
    """By its engine."""
    answers: bool = True
    """Its health check, once it is ready; one that does not answer serves and is scraped all the same."""
    total: float = 0.0
    failures: float = 0.0


@dataclass
class World:
    """What is there, whether or not a process looks at it."""

    directory: Path
    now: datetime = NOON
    containers: dict[str, Container] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    """The name of each container that was ever created."""
    stable: str | None = None
    canary: str | None = None
    reserve: str | None = None
    latest: str = ""
    """The rollout that was deployed last: what a target remembers."""
    gateway: Weight = NOTHING
    gateway_away: bool = False
    served: list[tuple[datetime, Weight, str | None]] = field(default_factory=list)
    """Since when which share of the users got which canary."""
    failing: dict[str, float] = field(default_factory=dict)
    """The failure rate of a tag, as a ratio; others never fail."""
    faults: dict[str, Iterator[RolloutError]] = field(default_factory=dict)
    """What the next calls of an effect meet, as long as there is something."""
    failing_checks: bool = False
    monitoring_down: bool = False
    scraping_stopped: bool = False
    query_values: dict[str, float] = field(default_factory=dict)
    """What a query gives, at every moment; others give nothing."""
    agenda: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)
    """What else happens, and when."""
    series: defaultdict[tuple[str, str, str, str], list[Sample]] = field(default_factory=lambda: defaultdict(list))
    """By version, release, instance and code."""

    def has(self, tag: str) -> World:
        """The same world, with a stable release that has served users for a while."""
        container = Container(name=f"0-{tag}", release=release_of(tag), health=Health.READY)
        self.containers[container.name] = container
        self.stable = container.name
        self.advance(timedelta(seconds=30))
        return self

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        """Let something happen that many seconds from now."""
        self.agenda.append((self.now + timedelta(seconds=seconds), what))

    def kill_canary(self) -> None:
        """The canary's process ends."""
        self._canary_container().health = Health.DEAD

    def restart_canary(self) -> None:
        """The canary's process ends and is started again: its counters begin anew."""
        canary = self._canary_container()
        canary.restarts += 1
        canary.total = canary.failures = 0.0

    def unready_canary(self) -> None:
        """The canary no longer answers its health check."""
        self._canary_container().answers = False

    def ready_canary(self) -> None:
        """The canary answers its health check again."""
        self._canary_container().answers = True

    def _canary_container(self) -> Container:
        assert self.canary is not None
        return self.containers[self.canary]

    def order(self, order: Order, *, step: int | None = None) -> None:
        """Another process orders something, as the command line does."""
        journal = FileJournal(self.directory)
        record = journal.read()
        answer = accept(fold(record.events), order, by="ann", now=self.now, step=step)
        assert not isinstance(answer, Refusal), answer.because
        journal.append((answer,), expect=record.head)

    def advance(self, span: timedelta) -> None:
        """Let time pass: users ask, counters grow and are scraped, and the agenda happens."""
        end = self.now + span
        while self.now < end:
            seconds = (self.now - NOON) // SCRAPE
            moments = [end, NOON + (seconds + 1) * SCRAPE, *(at for at, _ in self.agenda)]
            until = min(moment for moment in moments if moment > self.now or moment == end)
            self._pass(until)

    def tags(self) -> tuple[str | None, str | None]:
        """The tags of stable and of the canary."""
        return self._tag(self.stable), self._tag(self.canary)

    def saw(self, tag: str, *, after: datetime) -> bool:
        """Whether users were given to a canary with this tag later than that."""
        return any(at >= after and weight > NOTHING and name == tag for at, weight, name in self.served)

    def weights(self) -> list[float]:
        """Every share in percent that a canary has had, in its order."""
        shares: list[float] = []
        for _, weight, _ in self.served:
            if not shares or shares[-1] != weight.percent:
                shares.append(weight.percent)
        return shares

    def events(self) -> tuple[Event, ...]:
        """What the journal holds of the latest rollout."""
        return FileJournal(self.directory).read().events

    @property
    def state(self) -> State:
        """Where the latest rollout stands."""
        state = fold(self.events())
        assert state is not None
        return state

    def moved(self, weight: Weight) -> None:
        """The gateway serves another weight."""
        self.gateway = weight
        self.served.append((self.now, weight, self._tag(self.canary)))

    def _tag(self, name: str | None) -> str | None:
        return self.containers[name].release.tag if name is not None else None

    def _pass(self, until: datetime) -> None:
        requests = REQUESTS * (until - self.now).total_seconds()
        share = self.gateway.percent / 100 if self.canary is not None else 0.0
        self._serve(self.canary, requests * share)
        self._serve(self.stable, requests * (1 - share))
        self.now = until
        if (until - NOON) % SCRAPE == timedelta(0) and not self.scraping_stopped:
            self._scrape("canary", self.canary)
            self._scrape("stable", self.stable)
        due = [what for at, what in self.agenda if at <= until]
        self.agenda = [(at, what) for at, what in self.agenda if at > until]
        for what in due:
            what()

    def _serve(self, name: str | None, requests: float) -> None:
        if name is not None:
            container = self.containers[name]
            container.total += requests
            container.failures += requests * self.failing.get(container.release.tag, 0.0)

    def _scrape(self, version: str, name: str | None) -> None:
        if name is None or self.containers[name].health is not Health.READY:
            return
        container = self.containers[name]
        for code, value in (("200", container.total - container.failures), ("500", container.failures)):
            key = (version, container.release.tag, name, code)
            self.series[key].append(Sample(at=self.now, value=float(math.floor(value + 1e-6))))


class SimulatedTarget:
    """The target port onto the world. Every effect is idempotent, and can fail or be killed anywhere within."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    def resolve(self, tag: str) -> Release:
        """See Target."""
        self._fails("resolve")
        return release_of(tag)

    def look(self) -> Seen:
        """See Target."""
        world = self._world
        away = world.gateway_away
        reserve = world.containers[world.reserve].release if world.reserve is not None else None
        return Seen(
            weight=None if away else world.gateway,
            problem="connection refused" if away else "",
            stable=self._instance(world.stable),
            canary=self._instance(world.canary),
            reserve=reserve,
        )

    def deploy(self, release: Release, *, rollout: str) -> None:
        """See Target."""
        world, life = self._world, self._life
        life.at("deploy: begins")
        self._fails("deploy")
        world.latest = rollout
        life.at("deploy: noted")
        if rollout not in world.containers:
            world.containers[rollout] = Container(name=rollout, release=release)
            world.created.append(rollout)
            life.at("deploy: created")
        world.canary = rollout
        container = world.containers[rollout]
        if container.health is not Health.READY:
            world.advance(STARTUP)
            try:
                self._fails("deploy: start")
            except RolloutError:
                world.canary = None
                del world.containers[rollout]
                raise
            container.health = Health.READY
        life.at("deploy: done")

    def move(self, weight: Weight) -> None:
        """See Target."""
        self._life.at("move: begins")
        self._fails("move")
        if self._world.canary is None and weight > NOTHING:
            raise TargetFailed("there is no canary")
        self._world.moved(weight)
        self._life.at("move: done")

    def promote(self) -> None:
        """See Target."""
        world = self._world
        self._life.at("promote: begins")
        self._fails("promote")
        if world.canary is None:
            if world.stable != world.latest:
                raise TargetFailed("there is no canary")
            return
        if not world.containers[world.canary].answers:
            raise TargetBusy("the canary does not answer its health check, so it is not promoted")
        if world.stable != world.canary:
            world.reserve, world.stable = world.stable, world.canary
            self._life.at("promote: half done")
        world.canary = None
        world.moved(NOTHING)
        self._life.at("promote: done")

    def roll_back(self, *, rollout: str) -> None:
        """See Target."""
        world = self._world
        self._life.at("roll back: begins")
        self._fails("roll_back")
        if world.canary is not None and world.stable == world.canary:
            world.stable = world.reserve
        elif world.canary is None and world.reserve is not None and world.stable == rollout:
            world.containers[world.reserve].stopped = False
            world.stable, world.canary, world.reserve = world.reserve, world.stable, None
        world.moved(NOTHING)
        self._life.at("roll back: done")

    def retire(self) -> None:
        """See Target."""
        world = self._world
        self._life.at("retire: begins")
        self._fails("retire")
        if world.canary is not None:
            assert world.gateway == NOTHING, "users are on what is retired"
            del world.containers[world.canary]
            world.canary = None
        elif world.reserve is not None:
            assert world.reserve != world.stable, "users are on what is retired"
            world.containers[world.reserve].stopped = True
        self._life.at("retire: done")

    def discard(self) -> None:
        """See Target."""
        world = self._world
        self._life.at("discard: begins")
        if world.reserve is not None:
            del world.containers[world.reserve]
            world.reserve = None
        self._life.at("discard: done")

    def logs(self, *, lines: int) -> str:
        """See Target."""
        return ""

    def diagnose(self) -> Iterator[Finding]:
        """See Target."""
        yield from ()

    def _fails(self, effect: str) -> None:
        fault = next(self._world.faults.get(effect, iter(())), None)
        if fault is not None:
            raise fault

    def _instance(self, name: str | None) -> Instance | None:
        if name is None:
            return None
        container = self._world.containers[name]
        quiet = container.health is Health.READY and not container.answers
        health = Health.UNREADY if quiet else container.health
        return Instance(
            release=container.release,
            health=health,
            url=f"http://{name}",
            restarts=container.restarts,
            ready=1 if health is Health.READY else 0,
        )


class SimulatedSource:
    """The source port onto the world's counters."""

    def __init__(self, world: World) -> None:
        self._world = world

    def series(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """See Source."""
        if self._world.monitoring_down:
            raise SourceUnavailable("connection refused")
        found: list[Series] = []
        for (version, release, instance, code), samples in self._world.series.items():
            labels = {"version": version, "release": release, "instance": instance, "code": code}
            inside = tuple(sample for sample in samples if since < sample.at <= until)
            if inside and selector.matches("http_requests_total", labels):
                found.append(Series(labels=labels, samples=inside))
        return tuple(found)

    def histogram(self, selector: Selector, *, since: datetime, until: datetime) -> tuple[Series, ...]:
        """See Source. Nobody counts durations in this world."""
        if self._world.monitoring_down:
            raise SourceUnavailable("connection refused")
        return ()

    def values(self, query: str, *, since: datetime, until: datetime, step: timedelta) -> tuple[Sample, ...]:
        """See Source. What the world has set for the query, at each step."""
        world = self._world
        if world.monitoring_down:
            raise SourceUnavailable("connection refused")
        at, found = until, list[Sample]()
        while at > since:
            value = world.query_values.get(query)
            if value is not None and at <= world.now:
                found.append(Sample(at=at, value=value))
            at -= step
        return tuple(reversed(found))

    def diagnose(self, selectors: tuple[Selector, ...], *, now: datetime) -> Iterator[Finding]:
        """See Source."""
        yield from ()


class MortalJournal:
    """The real journal, with a boundary before and after each write, and one where a line is torn."""

    def __init__(self, journal: FileJournal, life: Life) -> None:
        self._journal = journal
        self._life = life

    def read(self) -> Record:
        """See Journal."""
        return self._journal.read()

    def begin(self, started: Started, *, expect: str) -> str:
        """See Journal."""
        self._life.at("begin")
        head = self._journal.begin(started, expect=expect)
        self._life.at("begun")
        return head

    def append(self, events: tuple[Event, ...], *, expect: str) -> str:
        """See Journal."""
        names = ", ".join(event.kind for event in events)
        self._life.at(f"write {names}")
        head = self._journal.append(events, expect=expect)
        try:
            self._life.at(f"torn {names}")
        except Killed:
            self._tear()
            raise
        self._life.at(f"written {names}")
        return head

    def take(self, lease: Lease, *, now: datetime) -> Lease | None:
        """See Journal."""
        return self._journal.take(lease, now=now)

    def hurry(self, within: timedelta) -> None:
        """See Journal."""
        self._journal.hurry(within)

    def release(self, owner: str) -> None:
        """See Journal."""
        self._life.at("release")
        self._journal.release(owner)

    def _tear(self) -> None:
        path = max(self._journal._directory.glob("*.jsonl"))
        whole = path.read_bytes()
        path.write_bytes(whole[: -len(whole.splitlines()[-1]) // 2])


@dataclass
class Process:
    """A process that drives rollouts in the world, until it ends."""

    world: World
    life: Life = field(default_factory=Life)
    owner: str = ""
    told: list[tuple[State, Decision]] = field(default_factory=list)
    checked: list[tuple[str, str | None]] = field(default_factory=list)
    """The addresses that were checked."""

    @property
    def ports(self) -> Ports:
        """The world as this process's engine sees it."""
        return Ports(
            journal=MortalJournal(FileJournal(self.world.directory), self.life),
            target=SimulatedTarget(self.world, self.life),
            source=SimulatedSource(self.world),
            checks=self._check,
            clock=lambda: self.world.now,
            sleep=self._sleep,
            owner=self.owner or f"{socket.gethostname()}/{2**22 + 1}/ended",
            tell=self._hear,
        )

    def release(self, tag: str, plan: Plan) -> Finish:
        """Release a tag and drive it to its end."""
        ports = self.ports
        engine.start(ports, plan, tag)
        return engine.run(ports)

    def go_on(self) -> Finish:
        """Drive the rollout that is under way to its end."""
        return engine.run(self.ports)

    def _sleep(self, seconds: float) -> None:
        if self.life.passed[-1:] != ["sleep"]:
            self.life.at("sleep")
        self.world.advance(timedelta(seconds=seconds))

    def _check(self, *, canary: str, stable: str | None) -> tuple[CheckResult, ...]:
        self.life.at("checks: begin")
        self.checked.append((canary, stable))
        passed = not self.world.failing_checks
        self.life.at("checks: done")
        return (CheckResult(name="home", version="canary", passed=passed, detail="200" if passed else "500"),)

    def _hear(self, state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        self.told.append((state, decision))


def ordered(events: tuple[Event, ...]) -> list[Order]:
    """The orders that people gave, as the journal has them."""
    return [event.order for event in events if isinstance(event, Commanded)]
