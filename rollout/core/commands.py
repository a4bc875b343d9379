"""Whether an order of a person is in time and in place: an event, or a refusal that says why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from rollout.core.events import Commanded, Order
from rollout.core.state import Phase, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an order cannot be followed, and what can be done instead."""

    because: str
    hint: str = ""


def accept(
    state: State | None, order: Order, *, by: str, now: datetime, rollout: str | None = None, step: int | None = None
) -> Commanded | Refusal:
    """The order as an event, or why not. `rollout` and `step` (an index) are what the person saw, if they said so."""
    if state is None:
        return Refusal(because="no rollout has been started", hint="start one with `rollout run TAG`")
    if rollout is not None and rollout != state.rollout:
        return Refusal(because=f"the order is for rollout {rollout}, and this is {state.rollout}")
    if step is not None and step != state.step:
        return Refusal(
            because=f"the order was given for step {step + 1}, and the rollout is at step {state.step + 1}",
            hint="look at `rollout status` and order again",
        )
    refusal = _out_of_place(state, order)
    return refusal or Commanded(at=now, order=order, by=by, step=state.step)


def _out_of_place(state: State, order: Order) -> Refusal | None:
    match state.phase:
        case Phase.ROLLED_BACK:
            return Refusal(because=f"rollout {state.rollout} is over: it went back to stable")
        case Phase.ROLLING_BACK:
            return Refusal(because="the rollout is going back to stable already")
        case Phase.PROMOTED:
            return _after_promotion(state, order)
        case Phase.DEPLOYING | Phase.CHECKING | Phase.STEPPING | Phase.PROMOTING:
            return _under_way(state, order)
        case _:
            assert_never(state.phase)


def _after_promotion(state: State, order: Order) -> Refusal | None:
    if order is not Order.ABORT:
        return Refusal(because=f"rollout {state.rollout} is over: {state.release.tag} is stable")
    if state.stable is None or state.discarded:
        return Refusal(
            because="there is no former release in reserve to go back to",
            hint="release the former version again: `rollout run TAG`",
        )
    return None


def _under_way(state: State, order: Order) -> Refusal | None:
    match order:
        case Order.ABORT:
            return Refusal(because="the rollout is being aborted already") if state.abort else None
        case Order.PAUSE:
            if state.phase is Phase.PROMOTING:
                return Refusal(because="the canary is being promoted", hint="`rollout abort` goes back to stable")
            return Refusal(because=f"the rollout is paused already, {state.paused}") if state.paused else None
        case Order.RESUME:
            return None if state.paused else Refusal(because="the rollout is not paused")
        case Order.APPROVE:
            if not state.current.approve:
                return Refusal(because=f"step {state.step + 1} ({state.current.weight}) needs no approval")
            return Refusal(because=f"step {state.step + 1} is approved already") if state.approved else None
        case Order.PROMOTE:
            if state.phase in (Phase.DEPLOYING, Phase.CHECKING):
                return Refusal(because="the canary is not deployed and checked yet", hint="wait for the first step")
            return None
        case _:
            assert_never(order)
