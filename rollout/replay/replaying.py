"""What a policy would have done with a recording, and when: a look at every scrape, as the live loop has one.

It judges by `analysis` alone and asks nothing but the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, signal
from typing import Final

from rollout.analysis.blocks import Timeline
from rollout.analysis.judge import Hearing
from rollout.core.gates import FailureGate
from rollout.core.plan import NOTHING, OnBlind, Plan
from rollout.core.verdict import Counts, GateResult, Judgement, Verdict
from rollout.replay.lines import Recording, Wrong, read
from rollout.replay.scene import Scene, scene_of

_LONG: Final = 1.5
"""A gap between two scrapes of more intervals than these is looked into."""
_STALE: Final = timedelta(minutes=1)
"""What is added to the time after which nothing new can come of a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a policy makes of one recording."""

    file: str
    outcome: Verdict
    """Unhealthy or blind where the policy rolls back, else the verdict at the end."""
    decided_at: float | None
    """The time of the first look at which it rolls back, as the file counts it; None where it never does."""
    gate: str | None
    """The gate that the outcome rests on; None where it is healthy, or nothing could be judged."""
    counts: Counts
    """The canary's requests and failures up to then."""
    judgement: Judgement
    """The verdict then, with all gates, those of which nothing was recorded at the end."""
    began: float
    ended: float
    """When the recording begins and ends to be judged, as the file counts it."""


def replay_all(
    files: Sequence[str], plan: Plan, *, told: Callable[[int], None] = lambda _: None
) -> tuple[tuple[Replayed, ...], tuple[Wrong, ...]]:
    """Every file through the policy, in their order; and everything that is wrong with any of them.

    The work is spread over the machine's cores. `told` is called with the number of files done.
    """
    results: list[Replayed] = []
    wrong: list[Wrong] = []
    for done, found in enumerate(_spread(files, plan), start=1):
        if isinstance(found, Replayed):
            results.append(found)
        else:
            wrong += found
        told(done)
    return tuple(results), tuple(wrong)


def _spread(files: Sequence[str], plan: Plan) -> Iterator[Replayed | tuple[Wrong, ...]]:
    workers = min(len(os.sched_getaffinity(0)), len(files))
    if workers < 2:
        yield from (replay_file(file, plan) for file in files)
        return
    pool = ProcessPoolExecutor(workers, initializer=_leave_signals_to_the_parent)
    try:
        yield from pool.map(partial(replay_file, plan=plan), files)
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_signals_to_the_parent() -> None:
    for number in (SIGINT, SIGTERM, SIGHUP):
        signal(number, SIG_IGN)


def replay_file(file: str, plan: Plan) -> Replayed | tuple[Wrong, ...]:
    """One file through the policy, or what is wrong with it."""
    found = read(file)
    return replay(found, plan) if isinstance(found, Recording) else found


def replay(recording: Recording, plan: Plan) -> Replayed:
    """One recording through the policy."""
    scene = scene_of(recording, plan)
    hearing = Hearing(scene.plan, scene.readings, timeline=scene.timelines[0], canary_release="", stable_release="")
    start, last = scene.timelines[0].start, scene.moments[-1]
    at, timeline = last, scene.timelines[-1]
    outcome: tuple[Verdict, str | None] | None = None
    blind_since: datetime | None = None
    for at, timeline in looks(scene):
        verdict, gate = hearing.verdict(timeline, at)
        if verdict is not Verdict.BLIND:
            blind_since = None
        elif blind_since is None:
            blind_since = at
        if verdict is Verdict.UNHEALTHY or (blind_since is not None and _too_blind(plan, timeline, blind_since, at)):
            outcome = verdict, gate
            break
    judgement = _with_unrecorded(hearing.judge(timeline, at), scene)
    decided_at = recording.seconds.get(at, at.timestamp()) if outcome is not None else None
    verdict, gate = outcome or (judgement.verdict, _resting_on(judgement))
    return Replayed(
        file=recording.file,
        outcome=verdict,
        decided_at=decided_at,
        gate=gate,
        counts=_counts(judgement, gate, plan),
        judgement=judgement,
        began=recording.seconds.get(start, start.timestamp()),
        ended=recording.seconds.get(at, at.timestamp()),
    )


def looks(scene: Scene) -> Iterator[tuple[datetime, Timeline]]:
    """When the live loop would have looked, and what it would have known of the traffic then.

    That is at every scrape, and each interval where none comes; in a gap for as long as that could change anything.
    """
    plan = scene.plan
    known, timeline = 0, scene.timelines[0]
    before = timeline.start
    enough = plan.blind_budget + 8 * plan.interval + _STALE
    for moment in scene.moments:
        gap = before
        while moment - before > _LONG * plan.interval and before - gap < enough:
            before += plan.interval
            yield before, timeline
        while known + 1 < len(scene.timelines) and scene.timelines[known + 1].weights[-1][0] <= moment:
            known += 1
        timeline = scene.timelines[known]
        yield moment, timeline
        before = moment


def _too_blind(plan: Plan, timeline: Timeline, since: datetime, now: datetime) -> bool:
    """As the machine decides it: users on a canary that nobody can see, for longer than the plan allows."""
    if plan.on_blind is OnBlind.HOLD or timeline.weight_at(now) == NOTHING:
        return False
    return now - since >= plan.blind_budget


def _with_unrecorded(judgement: Judgement, scene: Scene) -> Judgement:
    """With the gates that could not take part. Where none could, there is no verdict."""
    results = tuple(
        GateResult(
            gate=gate.name,
            verdict=Verdict.INCONCLUSIVE,
            sentence="not recorded: the file holds nothing of this gate, so it takes no part "
            "(`rollout record` writes what each gate needs)",
            observe=gate.observe,
        )
        for gate in scene.unrecorded
    )
    gates = (*judgement.gates, *results)
    if not judgement.gates:
        return Judgement(verdict=Verdict.INCONCLUSIVE, gates=gates, reason="no gate can be judged by this recording")
    return replace(judgement, gates=gates)


def _resting_on(judgement: Judgement) -> str | None:
    if judgement.verdict is Verdict.HEALTHY:
        return None
    return next((one.gate for one in judgement.gates if one.verdict is judgement.verdict and not one.observe), None)


def _counts(judgement: Judgement, gate: str | None, plan: Plan) -> Counts:
    """Of the gate that decided, else of the first failure gate."""
    by_name = {result.gate: result.canary for result in judgement.gates}
    if gate is not None and by_name[gate].total:
        return by_name[gate]
    first = next((one.name for one in plan.gates if isinstance(one, FailureGate)), None)
    return by_name[first] if first is not None else next(iter(by_name.values()), Counts())
