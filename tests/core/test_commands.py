"""An order is followed when it is in time and in place, and refused with the reason when it is not."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest

from rollout.core.commands import Refusal, accept
from rollout.core.decisions import Cause, MoveTraffic, Promote, RollBack
from rollout.core.events import (
    Checked,
    Commanded,
    Deployed,
    Discarded,
    Event,
    Intended,
    Order,
    Promoted,
    RolledBack,
)
from rollout.core.plan import EVERYTHING, Plan, Step, Weight
from tests.core.rollouts import GATE, NOON, started, state_of

PLAN = Plan(
    service="chat",
    environment="production",
    steps=(
        Step(weight=Weight(10), soak=timedelta(minutes=5)),
        Step(weight=EVERYTHING, soak=timedelta(minutes=5), approve=True),
    ),
    gates=(GATE,),
)
STARTED = started(PLAN, rollout="7-v2")
FIRST = started(PLAN, stable=None)
CHECKING: Final = (STARTED, Deployed(at=NOON))
STEPPING: Final = (*CHECKING, Checked(at=NOON, results=()))
LAST: Final = (*STEPPING, Intended(at=NOON, action=MoveTraffic(weight=EVERYTHING, step=1)))
PROMOTING: Final = (*LAST, Intended(at=NOON, action=Promote()))
PROMOTED: Final = (*PROMOTING, Promoted(at=NOON))
GOING_BACK: Final = (*STEPPING, Intended(at=NOON, action=RollBack(cause=Cause.BLIND, because="b")))
BACK: Final = (*GOING_BACK, RolledBack(at=NOON))


def by_ann(order: Order) -> Commanded:
    """An order that was followed before."""
    return Commanded(at=NOON, order=order, by="ann", step=0)


@pytest.mark.parametrize("order", Order)
def test_without_a_rollout_nothing_can_be_ordered(order: Order) -> None:
    """The hint says how to start one."""
    answer = accept(None, order, by="bob", now=NOON)
    assert isinstance(answer, Refusal)
    assert "rollout run TAG" in answer.hint


@pytest.mark.parametrize(
    ("events", "order"),
    [
        ((STARTED,), Order.ABORT),
        ((STARTED,), Order.PAUSE),
        (CHECKING, Order.ABORT),
        (CHECKING, Order.PAUSE),
        (STEPPING, Order.ABORT),
        (STEPPING, Order.PAUSE),
        (STEPPING, Order.PROMOTE),
        ((*STEPPING, by_ann(Order.PAUSE)), Order.RESUME),
        ((*STEPPING, by_ann(Order.PAUSE)), Order.ABORT),
        ((*STEPPING, by_ann(Order.PAUSE)), Order.PROMOTE),
        (LAST, Order.APPROVE),
        (PROMOTING, Order.ABORT),
        (PROMOTED, Order.ABORT),
    ],
)
def test_an_order_in_its_place_is_followed(events: tuple[Event, ...], order: Order) -> None:
    """The event names who ordered what, when and at which step."""
    state = state_of(*events)
    now = NOON + timedelta(seconds=5)
    assert accept(state, order, by="bob", now=now) == Commanded(at=now, order=order, by="bob", step=state.step)


@pytest.mark.parametrize(
    ("events", "order", "because"),
    [
        ((STARTED,), Order.PROMOTE, "not deployed and checked"),
        (CHECKING, Order.PROMOTE, "not deployed and checked"),
        (STEPPING, Order.RESUME, "not paused"),
        (STEPPING, Order.APPROVE, r"step 1 \(10 %\) needs no approval"),
        ((*LAST, by_ann(Order.APPROVE)), Order.APPROVE, "approved already"),
        ((*STEPPING, by_ann(Order.PAUSE)), Order.PAUSE, "paused already, by ann"),
        ((*STEPPING, by_ann(Order.ABORT)), Order.ABORT, "aborted already"),
        (PROMOTING, Order.PAUSE, "being promoted"),
        (PROMOTED, Order.PAUSE, "v2 is stable"),
        (PROMOTED, Order.PROMOTE, "v2 is stable"),
        ((*PROMOTED, Discarded(at=NOON)), Order.ABORT, "no former release in reserve"),
        ((FIRST, *PROMOTED[1:]), Order.ABORT, "no former release in reserve"),
        (GOING_BACK, Order.ABORT, "going back to stable already"),
        (GOING_BACK, Order.PROMOTE, "going back to stable already"),
        (BACK, Order.RESUME, "went back to stable"),
    ],
)
def test_an_order_out_of_place_is_refused_with_the_reason(
    events: tuple[Event, ...], order: Order, because: str
) -> None:
    """Nothing is written, and the person learns why."""
    answer = accept(state_of(*events), order, by="bob", now=NOON)
    assert isinstance(answer, Refusal)
    with pytest.raises(ValueError, match=because):
        raise ValueError(answer.because)


def test_an_order_for_another_rollout_is_refused() -> None:
    """Both are named."""
    answer = accept(state_of(*STEPPING), Order.ABORT, by="bob", now=NOON, rollout="6-v1")
    assert isinstance(answer, Refusal)
    assert "6-v1" in answer.because
    assert "7-v2" in answer.because
    assert isinstance(accept(state_of(*STEPPING), Order.ABORT, by="bob", now=NOON, rollout="7-v2"), Commanded)


def test_an_order_for_another_step_is_refused() -> None:
    """Steps are counted as people do, and the rollout has moved on since the person looked."""
    answer = accept(state_of(*LAST), Order.PROMOTE, by="bob", now=NOON, step=0)
    assert isinstance(answer, Refusal)
    assert "for step 1" in answer.because
    assert "at step 2" in answer.because
    assert isinstance(accept(state_of(*LAST), Order.PROMOTE, by="bob", now=NOON, step=1), Commanded)


def test_what_is_followed_can_be_folded() -> None:
    """Whatever is accepted is an event that the state takes, in every phase and for every order."""
    for events in ((STARTED,), CHECKING, STEPPING, LAST, PROMOTING, PROMOTED, GOING_BACK, BACK):
        for order in Order:
            answer = accept(state_of(*events), order, by="bob", now=NOON)
            if isinstance(answer, Commanded):
                assert state_of(*events, answer) != state_of(*events)
