"""What a user lives through: each test is one rollout from its start to its end, in simulated time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rollout import engine
from rollout.core.decisions import Cause, Decision, Deploy, Finish, MoveTraffic, Outcome, Wait
from rollout.core.events import Drifted, Failed, Judged, Order, Paused, WeightSeen
from rollout.core.machine import Observation
from rollout.core.plan import NOTHING, OnBlind, OnDrift, Weight
from rollout.core.state import Phase, State
from rollout.core.verdict import Verdict
from rollout.errors import Interruption, JournalUnreadable, Refused, TargetBusy, TargetFailed
from rollout.journals.base import Lease
from rollout.journals.file import FileJournal, this_process
from tests.engine.simulation import (
    NOON,
    SCRAPE,
    STARTUP,
    Life,
    Process,
    World,
    ordered,
    plan_of,
    release_of,
)

PLAN = plan_of((0, 30), (10, 60), (50, 60), (100, 60))
WEIGHTS = [10.0, 50.0, 100.0, 0.0]
DRAIN = PLAN.drain
SOAKS = sum((step.soak for step in PLAN.steps), timedelta(0))

PROMOTED = Finish(outcome=Outcome.PROMOTED)
ROLLED_BACK = Finish(outcome=Outcome.ROLLED_BACK)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A machine on which v1 serves users."""
    return World(tmp_path / "journal").has("v1")


def verdicts(world: World) -> list[Verdict]:
    """Each verdict that the journal holds, without repetitions."""
    found = [event.judgement.verdict for event in world.events() if isinstance(event, Judged)]
    return [verdict for verdict, _ in itertools.groupby(found)]


def seen_at(world: World, percent: float) -> datetime:
    """When the soak at a weight began for the last time."""
    return [e.at for e in world.events() if isinstance(e, WeightSeen) and e.weight == Weight(percent)][-1]


def order_at(world: World, seconds: float, order: Order) -> None:
    """Another process will order something."""
    world.at(seconds, lambda: world.order(order))


def put(world: World, **changes: object) -> None:
    """The world changes."""
    for name, value in changes.items():
        assert hasattr(world, name)
        setattr(world, name, value)


def back_on_stable(world: World) -> None:
    """Users are on v1, and of v2 nothing is left."""
    assert world.tags() == ("v1", None)
    assert world.gateway == NOTHING
    assert [container.release.tag for container in world.containers.values()] == ["v1"]
    assert world.state.phase is Phase.ROLLED_BACK
    assert world.state.retired


def test_a_good_release_is_promoted_after_exactly_the_planned_time(world: World) -> None:
    """Its soaks, the start of its container and the draining of the former release; not a second more."""
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.now - began == STARTUP + SOAKS + DRAIN
    assert world.weights() == WEIGHTS
    assert world.tags() == ("v2", None)
    assert world.reserve == "0-v1"
    assert world.containers["0-v1"].stopped
    assert world.created == ["1-v2"]


def test_every_soak_begins_when_the_gateway_is_seen_to_serve_the_weight(world: World) -> None:
    """Each weight is served for its soak at least, and at most one interval longer."""
    Process(world).release("v2", PLAN)
    moments = [seen_at(world, step.weight.percent) for step in PLAN.steps]
    for (before, after), step in zip(itertools.pairwise(moments), PLAN.steps, strict=False):
        assert step.soak <= after - before <= step.soak + PLAN.interval


def test_a_gateway_that_obeys_slowly_makes_the_soak_begin_later(world: World) -> None:
    """The weight is ordered, nobody sees it for 25 seconds, and these do not count."""
    world.at(35, lambda: put(world, gateway_away=True))
    world.at(60, lambda: put(world, gateway_away=False))
    began = world.now
    assert Process(world).release("v2", plan_of((0, 40), (10, 60), (100, 60))) == PROMOTED
    assert seen_at(world, 10) - began >= timedelta(seconds=60)
    assert seen_at(world, 100) - seen_at(world, 10) >= timedelta(seconds=60)


def test_a_bad_release_is_rolled_back_and_users_never_see_it_again(world: World) -> None:
    """It fails a tenth of its requests: within a minute it is gone, and it gets no more weight."""
    world.failing["v2"] = 0.1
    began = world.now
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.UNHEALTHY
    assert world.weights() == [10.0, 0.0]
    back = world.served[-1][0]
    assert back - began <= timedelta(seconds=30 + 60)
    world.advance(timedelta(hours=1))
    assert not world.saw("v2", after=back)
    back_on_stable(world)


def test_a_release_that_fails_everything_is_gone_within_two_scrapes(world: World) -> None:
    """The interval is the scrape's here, so the next look after the evidence is one scrape away at most."""
    world.failing["v2"] = 1.0
    plan = replace(plan_of((0, 30), (10, 60), (100, 60)), interval=SCRAPE)
    Process(world).release("v2", plan)
    first, last = world.served[0][0], world.served[-1][0]
    assert last - first <= 2 * SCRAPE + timedelta(seconds=1)
    back_on_stable(world)


def test_a_release_that_turns_bad_late_is_rolled_back_from_its_last_step(world: World) -> None:
    """A good past does not hide a late fault."""
    world.at(32 + 60 + 60 + 10, lambda: world.failing.update(v2=0.2))
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.weights() == WEIGHTS
    back_on_stable(world)


def test_trouble_that_stable_shares_holds_the_canary_and_does_not_take_it_back(world: World) -> None:
    """A fifth of all requests fails on both for a while: the cause is not the release, and nobody moves."""
    world.at(40, lambda: world.failing.update(v1=0.2, v2=0.2))
    world.at(150, world.failing.clear)
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert Verdict.UNHEALTHY not in verdicts(world)
    assert seen_at(world, 50) - began > timedelta(seconds=150)


def test_a_release_that_nobody_uses_waits_for_users(world: World) -> None:
    """With too few requests the verdict is inconclusive, and the soak goes on until there are enough."""
    plan = replace(plan_of((1, 60), (100, 60)), patience=timedelta(hours=5))
    began = world.now
    assert Process(world).release("v2", plan) == PROMOTED
    assert seen_at(world, 100) - seen_at(world, 1) >= timedelta(seconds=100 / 0.6)
    assert world.now - began > STARTUP + timedelta(seconds=120) + DRAIN


def test_after_its_patience_a_step_without_a_verdict_asks_for_a_person(world: World) -> None:
    """The rollout is paused with the reason; who resumes it lets it go on for as long as it takes."""
    plan = replace(plan_of((1, 20), (100, 60)), patience=timedelta(minutes=1))
    order_at(world, 120, Order.RESUME)
    assert Process(world).release("v2", plan) == PROMOTED
    (paused,) = [event for event in world.events() if isinstance(event, Paused)]
    assert "only" in paused.because
    assert paused.at - seen_at(world, 1) >= timedelta(seconds=80)
    assert seen_at(world, 100) - seen_at(world, 1) >= timedelta(seconds=100 / 0.6)


def test_a_paused_rollout_holds_its_weight_until_it_is_resumed(world: World) -> None:
    """However long the pause is, the weight stays; after it the rollout goes on at once."""
    order_at(world, 50, Order.PAUSE)
    order_at(world, 350, Order.RESUME)
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    rise = next(at for at, weight, _ in world.served if weight == Weight(50))
    assert rise - began == timedelta(seconds=350)
    assert world.weights() == WEIGHTS


def test_a_bad_verdict_during_a_pause_still_takes_the_canary_back(world: World) -> None:
    """A pause stops what goes up, never what goes back."""
    order_at(world, 40, Order.PAUSE)
    world.at(300, lambda: world.failing.update(v2=0.2))
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.UNHEALTHY
    assert world.now < NOON + timedelta(minutes=8)
    back_on_stable(world)


@pytest.mark.parametrize("first", [0, 10])
def test_a_rollout_that_is_paused_before_its_first_step_sends_nobody_to_the_canary(world: World, first: int) -> None:
    """Also where the first step has users and the order comes while the container starts."""
    order_at(world, 1, Order.PAUSE)
    order_at(world, 500, Order.RESUME)
    began = world.now
    assert Process(world).release("v2", plan_of((first, 30), (50, 60), (100, 60))) == PROMOTED
    assert world.served[0][0] - began >= timedelta(seconds=500)


def test_a_step_that_needs_approval_waits_and_goes_on_when_another_process_approves(world: World) -> None:
    """It waits for as long as it takes, and notices the order within a second."""
    plan = plan_of((0, 30), (10, 60), (50, 60), (100, 60), approve=(50,))
    order_at(world, 1200, Order.APPROVE)
    began = world.now
    process = Process(world)
    assert process.release("v2", plan) == PROMOTED
    rise = next(at for at, weight, _ in world.served if weight == Weight(100))
    assert timedelta(0) <= rise - began - timedelta(seconds=1200) <= timedelta(seconds=1)
    assert any(isinstance(decision.then, Wait) and decision.then.person for _, decision in process.told)


def test_an_approval_before_the_end_of_the_soak_does_not_shorten_it(world: World) -> None:
    """The step soaks in full, and then does not wait."""
    plan = plan_of((0, 30), (10, 60), (100, 60), approve=(10,))
    order_at(world, 40, Order.APPROVE)
    began = world.now
    assert Process(world).release("v2", plan) == PROMOTED
    assert world.now - began == STARTUP + timedelta(seconds=150) + DRAIN


def test_who_promotes_early_ends_the_rollout_at_once(world: World) -> None:
    """The remaining steps are left out, and the former release stays in reserve."""
    order_at(world, 50, Order.PROMOTE)
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.now - began <= timedelta(seconds=51) + DRAIN
    assert world.weights() == [10.0, 0.0]
    assert world.tags() == ("v2", None)
    assert world.reserve == "0-v1"


def test_a_canary_that_is_unhealthy_is_not_promoted_by_order(world: World) -> None:
    """The order comes when the evidence is in and nobody has looked yet: users go back."""
    process = Process(world)
    engine.start(process.ports, PLAN, "v2")
    while not world.served:
        engine.tick(process.ports)
        world.advance(timedelta(seconds=5))
    world.failing["v2"] = 0.5
    world.advance(timedelta(seconds=40))
    world.order(Order.PROMOTE)
    assert process.go_on() == ROLLED_BACK
    assert ordered(world.events()) == [Order.PROMOTE]
    back_on_stable(world)


@pytest.mark.parametrize("seconds", [1, 10, 40, 100, 160], ids=["deploying", "at 0", "at 10", "at 50", "at 100"])
def test_who_aborts_gets_stable_back_at_once(world: World, seconds: int) -> None:
    """In whatever phase before the promotion, within a second of the order or of the effect that is under way."""
    order_at(world, seconds, Order.ABORT)
    began = world.now
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.ORDERED
    assert "ann" in world.state.because
    assert world.state.rolled_back_at is not None
    assert world.state.rolled_back_at - began <= timedelta(seconds=seconds) + STARTUP
    back_on_stable(world)


def test_who_aborts_while_the_checks_run_gets_stable_back_before_the_first_user(world: World) -> None:
    """The order is in the journal before the outcome of the checks is."""

    def checks(*, canary: str, stable: str | None) -> tuple[()]:
        world.order(Order.ABORT)
        return ()

    ports = replace(Process(world).ports, checks=checks)
    engine.start(ports, PLAN, "v2")
    assert engine.run(ports) == ROLLED_BACK
    assert world.weights() == [0.0]
    back_on_stable(world)


def test_who_aborts_while_the_canary_cannot_be_promoted_gets_stable_back(world: World) -> None:
    """The promotion fails and is tried again; the order ends that."""
    world.faults["promote"] = itertools.repeat(TargetBusy("not ready"))
    order_at(world, 225, Order.ABORT)
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.ORDERED
    back_on_stable(world)


def test_who_aborts_after_the_promotion_gets_the_former_release_back(world: World) -> None:
    """It is started again from the reserve, and the promoted release is retired."""
    order_at(world, 220, Order.ABORT)
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.tags() == ("v1", None)
    assert not world.containers["0-v1"].stopped
    assert set(world.containers) == {"0-v1"}


def test_who_aborts_long_after_the_promotion_gets_the_former_release_back(world: World) -> None:
    """The rollout has ended, and the next tick follows the order."""
    assert Process(world).release("v2", PLAN) == PROMOTED
    world.advance(timedelta(hours=1))
    world.order(Order.ABORT)
    assert Process(world).go_on() == ROLLED_BACK
    assert world.tags() == ("v1", None)
    assert set(world.containers) == {"0-v1"}


def test_who_aborts_before_anything_was_deployed_leaves_the_former_promotion_alone(world: World) -> None:
    """The rollout before was promoted and keeps its reserve: going back is not for that one."""
    assert Process(world).release("v2", PLAN) == PROMOTED
    engine.start(Process(world).ports, PLAN, "v3")
    world.order(Order.ABORT)
    assert Process(world).go_on() == ROLLED_BACK
    assert world.tags() == ("v2", None)


def test_the_reserve_is_discarded_once_it_has_been_kept_long_enough(world: World) -> None:
    """Not before, and by a tick after that time; then there is no way back any more."""
    Process(world).release("v2", PLAN)
    world.advance(PLAN.keep - timedelta(minutes=5))
    Process(world).go_on()
    assert world.reserve is not None
    world.advance(timedelta(minutes=5))
    assert Process(world).go_on() == PROMOTED
    assert set(world.containers) == {"1-v2"}


def test_monitoring_that_is_down_for_two_minutes_holds_the_weight_and_lengthens_the_soak(world: World) -> None:
    """Nothing is rolled back, nothing goes up, and the blind time is soaked again."""
    world.at(50, lambda: put(world, monitoring_down=True))
    world.at(170, lambda: put(world, monitoring_down=False))
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    late = world.now - began - (STARTUP + SOAKS + DRAIN)
    assert timedelta(seconds=120) - PLAN.interval <= late <= timedelta(seconds=120) + 2 * PLAN.interval
    assert world.weights() == WEIGHTS
    assert Verdict.BLIND in verdicts(world)


def test_samples_that_stop_are_blindness_too(world: World) -> None:
    """The server answers and its newest sample grows old: the same as no answer."""
    world.at(50, lambda: put(world, scraping_stopped=True))
    world.at(200, lambda: put(world, scraping_stopped=False))
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert Verdict.BLIND in verdicts(world)
    assert seen_at(world, 50) - seen_at(world, 10) > timedelta(seconds=120)


def test_monitoring_that_stays_down_past_the_budget_takes_the_canary_back(world: World) -> None:
    """Users are not left on a canary that nobody can watch."""
    world.at(50, lambda: put(world, monitoring_down=True))
    began = world.now
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.BLIND
    assert world.state.rolled_back_at is not None
    blind = world.state.rolled_back_at - began - timedelta(seconds=50)
    assert PLAN.blind_budget <= blind <= PLAN.blind_budget + 2 * PLAN.interval
    back_on_stable(world)


def test_where_the_plan_says_hold_blindness_never_takes_the_canary_back(world: World) -> None:
    """It waits for the metrics, three budgets long."""
    world.at(50, lambda: put(world, monitoring_down=True))
    world.at(950, lambda: put(world, monitoring_down=False))
    plan = replace(PLAN, on_blind=OnBlind.HOLD)
    assert Process(world).release("v2", plan) == PROMOTED
    assert seen_at(world, 50) - seen_at(world, 10) >= timedelta(minutes=15)


@pytest.mark.parametrize("first", [0, 10])
def test_without_metrics_nobody_is_sent_to_the_canary(world: World, first: int) -> None:
    """Monitoring is down from the start: the canary waits without users, whatever the budget, and is not taken back."""
    world.monitoring_down = True
    world.at(1200, lambda: put(world, monitoring_down=False))
    began = world.now
    assert Process(world).release("v2", plan_of((first, 30), (50, 60), (100, 60))) == PROMOTED
    assert world.served[0][0] - began >= timedelta(seconds=1200)


def test_a_canary_that_dies_is_taken_back_at_the_next_look(world: World) -> None:
    """Whatever its metrics said."""
    world.at(60, world.kill_canary)
    began = world.now
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.CANARY_DIED
    assert world.state.rolled_back_at is not None
    assert world.state.rolled_back_at - began <= timedelta(seconds=60) + PLAN.interval
    back_on_stable(world)


def test_a_canary_of_another_image_is_taken_back(world: World) -> None:
    """Somebody has replaced the container: what runs is not what was released."""

    def replaced() -> None:
        world.containers["1-v2"].release = release_of("v3")

    world.at(60, replaced)
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.WRONG_IMAGE
    assert world.tags() == ("v1", None)


def test_a_gateway_that_gives_more_than_ordered_is_brought_back(world: World) -> None:
    """The drift is named in the journal, and the soak begins anew."""
    world.at(60, lambda: world.moved(Weight(80)))
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    (drift,) = [event for event in world.events() if isinstance(event, Drifted)]
    assert (drift.expected, drift.seen) == (Weight(10), Weight(80))
    assert drift.at - began <= timedelta(seconds=60) + PLAN.interval
    assert world.weights() == [10.0, 80.0, 10.0, 50.0, 100.0, 0.0]
    assert seen_at(world, 50) - seen_at(world, 10) >= timedelta(seconds=60)


def test_a_gateway_that_gives_less_than_ordered_holds_until_a_person_resumes(world: World) -> None:
    """Somebody had a reason to bring it down: it goes up again only when a person says so."""
    world.at(120, lambda: world.moved(Weight(5)))
    order_at(world, 900, Order.RESUME)
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.weights() == [10.0, 50.0, 5.0, 50.0, 100.0, 0.0]
    again = [at for at, weight, _ in world.served if weight == Weight(50)][1]
    assert again - began >= timedelta(seconds=900)
    assert any(isinstance(event, Paused) for event in world.events())


def test_a_gateway_that_gives_less_is_brought_up_again_where_the_plan_says_so(world: World) -> None:
    """With `on_drift: restore` no person is needed."""
    world.at(120, lambda: world.moved(Weight(5)))
    plan = replace(PLAN, on_drift=OnDrift.RESTORE)
    assert Process(world).release("v2", plan) == PROMOTED
    assert world.weights() == [10.0, 50.0, 5.0, 50.0, 100.0, 0.0]
    assert not any(isinstance(event, Paused) for event in world.events())


def test_a_weight_that_appears_after_the_rollback_is_taken_back_again(world: World) -> None:
    """While the canary drains somebody gives it users: they go back, too."""
    order_at(world, 60, Order.ABORT)
    world.at(75, lambda: world.moved(Weight(30)))
    process = Process(world)
    assert process.release("v2", PLAN) == ROLLED_BACK
    assert world.gateway == NOTHING
    back_on_stable(world)


def test_a_gateway_that_cannot_be_asked_holds_the_weight(world: World) -> None:
    """It is away for two minutes: nothing moves, and the rollout goes on afterwards."""
    world.at(50, lambda: put(world, gateway_away=True))
    world.at(170, lambda: put(world, gateway_away=False))
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.weights() == WEIGHTS
    assert seen_at(world, 50) - NOON > timedelta(seconds=170)


def test_a_deployment_that_fails_for_good_is_rolled_back_and_leaves_nothing(world: World) -> None:
    """It is tried once, the cause is named, and no user noticed."""
    world.faults["deploy: start"] = itertools.repeat(TargetFailed("the health check never became green"))
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.DEPLOY_FAILED
    assert "never became green" in world.state.because
    assert len([event for event in world.events() if isinstance(event, Failed)]) == 1
    assert world.weights() == [0.0]
    back_on_stable(world)


def test_a_deployment_that_fails_in_passing_is_tried_again_after_a_while(world: World) -> None:
    """After 1, 2 and 4 seconds; then it succeeds, and the rollout is only that much later."""
    world.faults["deploy"] = iter([TargetBusy("the registry is slow")] * 3)
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    tries = [event.at - began for event in world.events() if isinstance(event, Failed)]
    assert tries == [timedelta(seconds=0), timedelta(seconds=1), timedelta(seconds=3)]
    assert world.now - began == timedelta(seconds=7) + STARTUP + SOAKS + DRAIN


def test_a_deployment_that_is_busy_for_ever_is_given_up(world: World) -> None:
    """Five tries, then stable."""
    world.faults["deploy"] = itertools.repeat(TargetBusy("the registry is slow"))
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert world.state.cause is Cause.DEPLOY_FAILED
    assert len([event for event in world.events() if isinstance(event, Failed)]) == 5
    back_on_stable(world)


def test_traffic_that_cannot_be_moved_asks_for_a_person_and_goes_on_when_resumed(world: World) -> None:
    """The weight stays where it is meanwhile."""
    world.faults["move"] = iter([TargetFailed("nginx -t fails")])
    order_at(world, 400, Order.RESUME)
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.served[0][0] - began >= timedelta(seconds=400)
    (paused,) = [event for event in world.events() if isinstance(event, Paused)]
    assert "nginx -t fails" in paused.because


def test_a_pause_stops_the_further_tries_of_a_move(world: World) -> None:
    """The first try has failed when the order comes: nothing goes up before it is resumed."""
    world.faults["move"] = iter([TargetBusy("reloading")] * 4)
    order_at(world, 34, Order.PAUSE)
    order_at(world, 300, Order.RESUME)
    began = world.now
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.served[0][0] - began >= timedelta(seconds=300)


def test_a_rollback_is_tried_until_it_succeeds(world: World) -> None:
    """There is nothing else to do, so it is never given up, not even where it seems to be in vain."""
    world.failing["v2"] = 0.5
    world.faults["roll_back"] = iter([TargetFailed("no"), *[TargetBusy("not yet")] * 9])
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert len([event for event in world.events() if isinstance(event, Failed)]) == 10
    assert world.state.cause is Cause.UNHEALTHY
    back_on_stable(world)


def test_a_promotion_that_fails_for_good_holds_until_a_person_resumes(world: World) -> None:
    """All users are on the canary, which is healthy: nobody is moved."""
    world.faults["promote"] = iter([TargetFailed("the notes cannot be written")])
    order_at(world, 900, Order.RESUME)
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.weights() == WEIGHTS
    assert world.state.promoted_at is not None
    assert world.state.promoted_at - NOON >= timedelta(seconds=900)


def test_what_cannot_be_cleaned_up_is_said_and_fails_nothing(world: World) -> None:
    """The release is promoted, and the end names what is left."""
    world.faults["retire"] = itertools.repeat(TargetFailed("the engine is away"))
    finish = Process(world).release("v2", PLAN)
    assert finish.outcome is Outcome.PROMOTED
    assert "the engine is away" in finish.leftover


def test_a_release_whose_checks_fail_is_rolled_back_before_the_first_user(world: World) -> None:
    """Both versions were checked, and the failed check is named."""
    world.failing_checks = True
    process = Process(world)
    assert process.release("v2", PLAN) == ROLLED_BACK
    assert process.checked == [("http://1-v2", "http://0-v1")]
    assert world.state.cause is Cause.CHECKS_FAILED
    assert "home against canary (500)" in world.state.because
    assert world.weights() == [0.0]
    back_on_stable(world)


def test_the_first_release_of_a_service_is_deployed_checked_and_promoted(tmp_path: Path) -> None:
    """There is no stable release to compare with or to go back to, so there are no steps."""
    world = World(tmp_path)
    process = Process(world)
    assert process.release("v1", PLAN) == PROMOTED
    assert world.tags() == ("v1", None)
    assert process.checked == [("http://1-v1", None)]
    assert world.reserve is None
    assert world.now - NOON <= STARTUP + DRAIN + timedelta(seconds=1)


def test_the_first_release_that_fails_its_checks_leaves_nothing(tmp_path: Path) -> None:
    """No release is better than a broken one."""
    world = World(tmp_path)
    world.failing_checks = True
    assert Process(world).release("v1", PLAN) == ROLLED_BACK
    assert world.tags() == (None, None)
    assert world.containers == {}


def test_one_release_after_another_each_compared_with_the_one_before(world: World) -> None:
    """The second rollout has its own number, its own stable and counts only its own canary's failures."""
    world.failing["v2"] = 0.5
    assert Process(world).release("v2", PLAN) == ROLLED_BACK
    assert Process(world).release("v3", PLAN) == PROMOTED
    assert Process(world).release("v4", PLAN) == PROMOTED
    assert world.tags() == ("v4", None)
    assert world.state.rollout == "3-v4"
    assert world.state.stable == release_of("v3")
    assert world.created == ["1-v2", "2-v3", "3-v4"]


def test_a_rolled_back_release_can_be_tried_again(world: World) -> None:
    """The same tag after its rollout has ended is a new rollout."""
    world.failing["v2"] = 0.5
    Process(world).release("v2", PLAN)
    world.failing.clear()
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.created == ["1-v2", "2-v2"]


def test_a_second_rollout_is_refused_while_one_is_driven(world: World) -> None:
    """Whoever asks is told who drives it; the rollout under way does not notice."""
    met: list[str] = []

    def rival() -> None:
        with pytest.raises(Refused) as refused:
            Process(world, owner="another-machine/7/7").release("v3", PLAN)
        met.append(str(refused.value))

    world.at(60, rival)
    assert Process(world, owner=this_process()).release("v2", PLAN) == PROMOTED
    assert this_process() in met[0]
    assert "abort" in met[0]
    assert world.tags() == ("v2", None)
    assert world.created == ["1-v2"]


def test_a_second_rollout_is_refused_while_one_waits_for_its_next_tick(world: World) -> None:
    """Nobody drives it at the moment; who wanted another release must not keep its own driver out afterwards."""
    life = Life(ends_at=20, by=lambda: Interruption("SIGTERM", 15))
    with pytest.raises(Interruption):
        Process(world, life).release("v2", PLAN)
    with pytest.raises(Refused, match="1-v2 of v2 is under way") as refused:
        Process(world, owner="another-machine/7/7").release("v3", PLAN)
    assert "rollout abort" in refused.value.hint
    assert Process(world, owner="this-machine/8/8").go_on() == PROMOTED
    assert world.tags() == ("v2", None)


def test_the_same_tag_again_goes_on_with_the_rollout_under_way(world: World) -> None:
    """A workflow that is run again takes up what the first run left, with the plan that the first run pinned."""
    life = Life(ends_at=45, by=lambda: Interruption("SIGTERM", 15))
    with pytest.raises(Interruption):
        Process(world, life).release("v2", PLAN)
    assert Process(world).release("v2", plan_of((100, 1))) == PROMOTED
    assert world.weights() == WEIGHTS
    assert world.created == ["1-v2"]
    assert FileJournal(world.directory).read().number == 1


def test_the_same_tag_again_after_its_promotion_changes_nothing(world: World) -> None:
    """A workflow that is run again finds its release stable already; with `again` it is released once more."""
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert Process(world).release("v2", PLAN) == PROMOTED
    assert world.created == ["1-v2"]
    assert FileJournal(world.directory).read().number == 1
    process = Process(world)
    engine.start(process.ports, PLAN, "v2", again=True)
    assert process.go_on() == PROMOTED
    assert world.created == ["1-v2", "2-v2"]


def test_a_gateway_that_already_serves_an_unknown_canary_refuses_the_start(world: World) -> None:
    """Another journal may drive it: nothing is deployed."""
    world.moved(Weight(20))
    with pytest.raises(Refused, match="20 %"):
        Process(world).release("v2", PLAN)
    assert world.created == []
    assert FileJournal(world.directory).read().number == 0
    world.moved(NOTHING)
    assert Process(world, owner="another-machine/7/7").release("v2", PLAN) == PROMOTED


def test_a_tag_that_the_registry_does_not_have_starts_nothing(world: World) -> None:
    """The error comes before the rollout does, and the next one can start at once."""
    world.faults["resolve"] = iter([TargetFailed("there is no such tag")])
    with pytest.raises(TargetFailed, match="no such tag"):
        Process(world).release("v2", PLAN)
    assert FileJournal(world.directory).read().number == 0
    assert Process(world, owner="another-machine/7/7").release("v2", PLAN) == PROMOTED


def test_there_is_nothing_to_drive_before_a_rollout_has_been_started(world: World) -> None:
    """A tick says so, with the command that starts one."""
    with pytest.raises(Refused) as refused:
        Process(world).go_on()
    assert "rollout run TAG" in refused.value.hint


def test_a_late_tick_lengthens_the_step_and_skips_none(world: World) -> None:
    """Ticks that come an hour apart serve every weight of the plan, each for an hour."""
    process = Process(world)
    engine.start(process.ports, PLAN, "v2")
    for _ in range(20):
        if engine.tick(process.ports) == PROMOTED:
            break
        world.advance(timedelta(hours=1))
    assert world.weights() == WEIGHTS
    assert world.tags() == ("v2", None)
    rises = [at for at, weight, _ in world.served if weight > NOTHING]
    assert all(after - before >= timedelta(hours=1) for before, after in itertools.pairwise(rises))


def test_a_late_tick_still_sees_what_happened_meanwhile(world: World) -> None:
    """The canary failed for ten minutes while nobody looked, and has recovered since: it is taken back."""
    process = Process(world)
    engine.start(process.ports, PLAN, "v2")
    while not world.served:
        engine.tick(process.ports)
        world.advance(timedelta(seconds=10))
    world.failing["v2"] = 0.2
    world.advance(timedelta(minutes=10))
    world.failing.clear()
    world.advance(timedelta(minutes=5))
    engine.tick(process.ports)
    assert world.state.cause is Cause.UNHEALTHY
    assert world.weights() == [10.0, 0.0]


def test_a_broken_display_stops_no_rollout(world: World) -> None:
    """Whoever is told may fail in any way; the rollout is the same."""

    def broken(state: State, observation: Observation, decision: Decision, at: datetime) -> None:
        raise RuntimeError("no terminal")

    ports = replace(Process(world).ports, tell=broken)
    engine.start(ports, PLAN, "v2")
    assert engine.run(ports) == PROMOTED


def test_a_journal_that_becomes_unreadable_blocks_and_changes_nothing(world: World) -> None:
    """The canary stays at its weight; neither the file nor the gateway is touched."""
    path = world.directory / "000001.jsonl"

    def damaged() -> None:
        path.write_bytes(path.read_bytes().replace(b'"deployed"', b'"destroyed"'))

    world.at(60, damaged)
    with pytest.raises(JournalUnreadable):
        Process(world).release("v2", PLAN)
    assert world.gateway == Weight(10)
    with pytest.raises(JournalUnreadable):
        Process(world).go_on()
    with pytest.raises(JournalUnreadable):
        Process(world).release("v3", PLAN)
    assert world.gateway == Weight(10)
    assert b'"destroyed"' in path.read_bytes()


def test_intent_is_in_the_journal_before_every_effect(world: World) -> None:
    """At the moment the target is told to do something, the journal already says so."""
    process = Process(world)
    missing: list[str] = []
    actions = {"deploy: begins": Deploy, "move: begins": MoveTraffic}

    class Watched(Life):
        def at(self, name: str) -> None:
            wanted = actions.get(name)
            if wanted is not None and not isinstance(world.state.pending, wanted):
                missing.append(name)
            super().at(name)

    process.life = Watched()
    process.release("v2", PLAN)
    assert {"deploy: begins", "move: begins"} <= set(process.life.passed)
    assert missing == []


def test_the_lease_is_held_all_the_while_and_given_back_at_the_end(world: World) -> None:
    """Nobody else can take it in the middle, though the rollout lasts longer than one lease; afterwards anybody can."""
    rival = Lease(owner="another-machine/7/7", until=NOON + timedelta(days=1))
    answers: list[Lease | None] = []
    journal = FileJournal(world.directory)
    for minutes in (1, 20, 30):
        world.at(60 * minutes + 25, lambda: answers.append(journal.take(rival, now=world.now)))
    process = Process(world, owner=this_process())
    process.release("v2", replace(plan_of((0, 30), (10, 2000), (100, 60)), interval=timedelta(minutes=1)))
    assert [answer.owner if answer else None for answer in answers] == [this_process()] * 3
    assert journal.take(rival, now=world.now) is None
