"""Whatever happens, in whatever order and however late: the promises of the step machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.core.commands import accept
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
    Failed,
    InstancesSeen,
    Intended,
    Judged,
    Moved,
    Order,
    Promoted,
    Retired,
    RolledBack,
    Started,
    WeightSeen,
)
from rollout.core.machine import Observation, decide
from rollout.core.plan import EVERYTHING, NOTHING, Advance, InstancesRule, OnBlind, OnDrift, Plan, Step, Weight
from rollout.core.release import Release
from rollout.core.state import Phase, State, evolve, fold
from rollout.core.verdict import GateResult, Judgement, Verdict
from rollout.journals import codec
from tests.core.rollouts import GATE, NOON, RELEASE, STABLE

seconds = st.integers(0, 4000).map(lambda s: timedelta(seconds=s))


@st.composite
def steps_at(draw: st.DrawFn, weight: Weight) -> Step:
    soak = draw(seconds)
    shortest = st.floats(0, 1).map(lambda part: part * soak)
    return Step(weight=weight, soak=soak, approve=draw(st.booleans()), min_soak=draw(st.one_of(st.none(), shortest)))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    tenths = draw(st.sets(st.integers(0, 999), max_size=5))
    weights = [Weight(t / 10) for t in sorted(tenths)] + [EVERYTHING]
    return Plan(
        service="chat",
        environment="production",
        steps=tuple(draw(steps_at(weight)) for weight in weights),
        gates=(GATE,),
        advance=draw(st.sampled_from(Advance)),
        instances=InstancesRule(max_restarts=draw(st.integers(0, 3)), max_unready=draw(seconds)),
        on_blind=draw(st.sampled_from(OnBlind)),
        on_drift=draw(st.sampled_from(OnDrift)),
    )


@dataclass
class Luck:
    """What one tick meets."""

    late: timedelta
    verdict: Verdict
    order: Order | None
    drift: Weight | None
    gateway_away: bool
    canary_dies: bool
    restarts: int
    """Of the canary since the tick before."""
    unready: bool
    proven: bool
    """There is evidence that the gate's limit is kept."""
    effect: str
    """done, busy, broken, killed before, or killed after"""


lucks = st.builds(
    Luck,
    late=st.one_of(st.integers(0, 60), st.integers(0, 3000), st.integers(0, 100_000)).map(
        lambda s: timedelta(seconds=s)
    ),
    verdict=st.sampled_from([*Verdict] + [Verdict.HEALTHY] * 10),
    order=st.sampled_from([None] * 12 + list(Order)),
    drift=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 1000).map(lambda t: Weight(t / 10))),
    gateway_away=st.integers(0, 15).map(lambda n: n == 0),
    canary_dies=st.integers(0, 40).map(lambda n: n == 0),
    restarts=st.sampled_from([0] * 20 + [1, 2]),
    unready=st.sampled_from([False, False, False, True]),
    proven=st.booleans(),
    effect=st.sampled_from(["done"] * 6 + ["busy", "broken", "killed before", "killed after"]),
)


lives = st.integers(0, 30).flatmap(lambda ticks: st.lists(lucks, min_size=ticks, max_size=ticks))
"""As often long as short, so that many come beyond the first step."""

CALM = Luck(
    late=timedelta(hours=2),
    verdict=Verdict.HEALTHY,
    order=None,
    drift=None,
    gateway_away=False,
    canary_dies=False,
    restarts=0,
    unready=False,
    proven=False,
    effect="done",
)


@dataclass
class World:
    """A gateway, a canary and a journal; nothing of the code under test but decide and evolve."""

    plan: Plan
    stable: Release | None = STABLE
    now: datetime = NOON
    gateway: Weight = NOTHING
    canary: bool = False
    dead: bool = False
    restarts: int = 0
    unready: bool = False
    promoted: bool = False
    events: list[Event] = field(default_factory=list)
    ended: Wait | Finish | None = None
    verdicts: list[tuple[datetime, Verdict]] = field(default_factory=list)

    def begin(self) -> None:
        self.events = [Started(at=self.now, rollout="1-v2", release=RELEASE, stable=self.stable, plan=self.plan)]

    @property
    def state(self) -> State:
        state = fold(self.events)
        assert state is not None
        return state

    def tick(self, luck: Luck) -> None:
        self.now += luck.late
        if luck.drift is not None and self.canary:
            self.gateway = luck.drift
        self.dead = self.canary and (self.dead or luck.canary_dies)
        self.restarts += luck.restarts if self.canary else 0
        if luck.order is not None:
            accepted = accept(self.state, luck.order, by="ann", now=self.now)
            if isinstance(accepted, Commanded):
                self.events.append(accepted)
        for _ in range(40):
            if self.turn(luck):
                return
        pytest.fail(f"a tick does not come to rest: {self.events[-6:]}")

    def turn(self, luck: Luck) -> bool:
        state = self.state
        self.unready = self.canary and luck.unready
        gate = GateResult(gate="5xx", verdict=luck.verdict, sentence="", log_threshold=1.0, advance=luck.proven)
        judgement = Judgement(verdict=luck.verdict, gates=(gate,), reason="because")
        seen = Observation(
            weight=None if luck.gateway_away else self.gateway,
            canary_dead=self.dead,
            canary_digest=RELEASE.digest if self.canary else None,
            canary_restarts=self.restarts,
            canary_instances=(0 if self.unready else 1, 1),
            judgement=judgement if state.phase is Phase.STEPPING else None,
        )
        decision = decide(state, seen, self.now)
        if state.phase is Phase.STEPPING:
            self.verdicts.append((self.now, luck.verdict))
            if luck.verdict is Verdict.UNHEALTHY:
                assert isinstance(decision.then, RollBack), "an unhealthy verdict is followed by a rollback"
            if self.canary and self.restarts > self.plan.instances.max_restarts:
                assert isinstance(decision.then, RollBack), "too many restarts are followed by a rollback"
            if self.unready and state.ordered > NOTHING and self.unready_for() >= self.plan.instances.max_unready:
                assert isinstance(decision.then, RollBack), "a canary that stays unready is followed by a rollback"
            if self.unready:
                assert not isinstance(decision.then, Promote), "a canary that is not ready is not promoted"
        self.events.extend(decision.noting)
        match decision.then:
            case Wait() | Finish():
                self.ended = decision.then
                return True
            case Again():
                assert decision.noting, "to look again without a new fact would never end"
                return False
            case _:
                return self.carry_out(decision.then, state, luck)

    def carry_out(self, action: Action, before: State, luck: Luck) -> bool:
        self.events.append(Intended(at=self.now, action=action))
        if luck.effect == "killed before":
            luck.effect = "done"
            return True
        if luck.effect in ("busy", "broken") and not isinstance(action, RollBack):
            permanent = luck.effect == "broken"
            self.events.append(Failed(at=self.now, action=action, because="no luck", permanent=permanent))
            luck.effect = "done"
            return False
        outcome = self.effect(action, before)
        if luck.effect == "killed after":
            luck.effect = "done"
            return True
        self.events.append(outcome)
        return False

    def effect(self, action: Action, before: State) -> Event:
        now = self.now
        match action:
            case Deploy():
                self.canary = True
                return Deployed(at=now)
            case RunChecks():
                passed = CheckResult(name="home", version="canary", passed=True, detail="200")
                return Checked(at=now, results=(passed,))
            case MoveTraffic(weight=weight, step=step):
                if weight > self.gateway:
                    self.may_rise(weight, before)
                self.gateway = weight
                return Moved(at=now, weight=weight, step=step)
            case Promote():
                assert before.stable is None or before.hurried or self.rested(before) or before.phase is Phase.PROMOTING
                self.promoted, self.canary, self.gateway = True, False, NOTHING
                return Promoted(at=now)
            case RollBack():
                self.gateway = NOTHING
                self.canary, self.promoted = not self.promoted or True, False
                return RolledBack(at=now)
            case Retire():
                self.canary = self.dead = False
                return Retired(at=now)
            case Discard():
                return Discarded(at=now)

    def unready_for(self) -> timedelta:
        """From the journal alone."""
        since: datetime | None = None
        for event in self.events:
            if isinstance(event, InstancesSeen):
                since = (since or event.at) if event.ready < event.wanted else None
        return self.now - (since or self.now)

    def may_rise(self, weight: Weight, before: State) -> None:
        assert not self.unready, "nobody is sent to a canary that is not ready"
        assert weight in {step.weight for step in self.plan.steps}, "only weights of the plan are ordered"
        assert weight <= max(before.ordered, self.next_weight(before)), "no step is skipped"
        if before.drift is not None and before.drift < before.ordered and self.plan.on_drift is OnDrift.HOLD:
            assert before.restore, "what somebody else brought down goes up again only when a person says so"
        if weight > before.ordered and before.ordered == before.current.weight:
            assert self.rested(before), "a higher weight needs a healthy verdict for the whole soak"

    def next_weight(self, before: State) -> Weight:
        steps = self.plan.steps
        if before.ordered != before.current.weight:
            return before.current.weight
        return steps[min(before.step + 1, len(steps) - 1)].weight

    def rested(self, before: State) -> bool:
        """From the journal and the record of verdicts alone: seen, soaked, never unhealthy, healthy now.

        Soaked is in full, or where the plan and the evidence shorten it, for the shortest soak.
        """
        moves = [e for e in self.events if isinstance(e, Intended) and isinstance(e.action, MoveTraffic | Promote)]
        seen = [e for e in self.events if isinstance(e, WeightSeen) and e.step == before.step]
        if not seen or not moves:
            return False
        since = seen[-1].at
        verdicts = [verdict for at, verdict in self.verdicts if at >= since]
        judged = [e for e in self.events if isinstance(e, Judged)]
        step = before.current
        shortened = self.plan.advance is Advance.EVIDENCE and judged[-1].judgement.advance
        shortest = step.min_soak if shortened and step.min_soak is not None else step.soak
        return (
            self.now - since >= shortest
            and not self.unready
            and Verdict.UNHEALTHY not in verdicts
            and judged[-1].at == self.now
            and judged[-1].judgement.verdict is Verdict.HEALTHY
        )

    def calm(self) -> None:
        """From now on nothing goes wrong, and nobody orders anything: where does it end?"""
        for _ in range(80):
            self.tick(replace(CALM))
            if isinstance(self.ended, Finish) or (isinstance(self.ended, Wait) and self.ended.person):
                return


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(plan=plans(), stable=st.sampled_from([STABLE, STABLE, STABLE, None]), life=lives)
def test_no_sequence_of_events_breaks_a_promise(plan: Plan, stable: Release | None, life: list[Luck]) -> None:
    """Weights rise only after a healthy soak, unhealthy means rollback, and it ends where it may end."""
    world = World(plan=plan, stable=stable)
    world.begin()
    for luck in life:
        world.tick(luck)
        assert NOTHING <= world.state.ordered <= EVERYTHING
    world.calm()
    assert world.ended is not None
    match world.ended:
        case Finish(outcome=outcome):
            assert (outcome == "promoted") == world.promoted
            assert world.gateway == NOTHING
        case Wait(person=person):
            assert person


@settings(max_examples=100)
@given(plan=plans(), life=st.lists(lucks, max_size=20))
def test_replaying_a_journal_gives_the_same_state(plan: Plan, life: list[Luck]) -> None:
    """The state folded at once, step by step, and from the written JSON is one and the same."""
    world = World(plan=plan)
    world.begin()
    for luck in life:
        world.tick(luck)
    state = fold(world.events[:1])
    assert state is not None
    for event in world.events[1:]:
        state = evolve(state, event)
    assert state == world.state
    assert state == fold(codec.load(codec.dump(event)) for event in world.events)


def test_a_late_tick_lengthens_a_step_and_skips_none() -> None:
    """Ticks a day late, all healthy: every weight of the plan is served, in its order."""
    steps = tuple(Step(weight=Weight(w), soak=timedelta(minutes=5)) for w in (0, 1, 5, 50, 100))
    world = World(plan=Plan(service="chat", environment="production", steps=steps, gates=(GATE,)))
    world.begin()
    for _ in range(12):
        world.tick(replace(CALM, late=timedelta(days=1)))
    served = [e.weight for e in world.events if isinstance(e, WeightSeen)]
    assert [Weight(w) for w in (0, 1, 5, 50, 100)] == served
    assert world.promoted
