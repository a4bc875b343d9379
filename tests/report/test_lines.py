"""One calm line for each event, and a summary that says what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.core.decisions import Cause, MoveTraffic, RollBack
from rollout.core.events import (
    Checked,
    CheckResult,
    Commanded,
    Drifted,
    Event,
    Failed,
    Intended,
    Interrupted,
    Judged,
    Order,
    Paused,
    WeightSeen,
)
from rollout.core.plan import OnBlind, Weight
from rollout.core.state import State
from rollout.core.verdict import Counts, GateResult, Judgement, Verdict
from rollout.report.lines import line
from rollout.report.summary import notes, summary
from rollout.report.words import evidence, one_line, share, span
from tests.report.stories import NOON, SECOND, Story, bad, good, plan, restarting, slow

OBSERVED = GateResult(gate="p99", verdict=Verdict.UNHEALTHY, sentence="too slow", observe=True)
MOVE = MoveTraffic(weight=Weight(5), step=2)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (WeightSeen(at=NOON, weight=Weight(5), step=2), "step 3 of 7: the gateway serves 5 %; it soaks for 12 s"),
        (Intended(at=NOON, action=MOVE), "is going to move the canary to 5 %"),
        (
            Failed(at=NOON, action=MOVE, because="no route", permanent=False),
            "could not move the canary to 5 %; it is tried again: no route",
        ),
        (
            Intended(at=NOON, action=RollBack(cause=Cause.UNHEALTHY, because="5xx: too many")),
            "rolls back: the canary is unhealthy: 5xx: too many",
        ),
        (
            Intended(at=NOON, action=RollBack(cause=Cause.ORDERED, because="ordered by ann")),
            "rolls back: ordered by ann",
        ),
        (
            Drifted(at=NOON, expected=Weight(5), seen=Weight(0.5)),
            "drift: the gateway serves 0.5 % where 5 % was ordered",
        ),
        (Commanded(at=NOON, order=Order.APPROVE, by="ann", step=4), "step 5 of 7: ann approves"),
        (
            Judged(at=NOON, step=0, judgement=Judgement(verdict=Verdict.BLIND, reason="no answer")),
            "step 1 of 7: ? blind: no answer",
        ),
        (
            Judged(at=NOON, step=0, judgement=Judgement(verdict=Verdict.HEALTHY, reason="well", gates=(OBSERVED,))),
            "step 1 of 7: ✓ healthy: well; only observed: p99 is unhealthy: too slow",
        ),
        (Checked(at=NOON, results=()), "no checks are configured"),
        (
            Checked(at=NOON, results=(CheckResult(name="home", version="stable", passed=False, detail="got 500"),)),
            "✗ 1 of 1 check failed: home against stable: got 500",
        ),
        (
            Interrupted(at=NOON, signal="SIGTERM"),
            "interrupted by SIGTERM; this says nothing about the release, and the next tick goes on",
        ),
    ],
)
def test_a_line_is_a_time_and_a_sentence(event: Event, words: str) -> None:
    """The time is UTC, and the plan adds the number of steps and the soak."""
    assert line(event, plan()) == f"12:00:00Z  {words}"


def test_a_line_needs_no_plan() -> None:
    """Without the plan only what it would add is missing."""
    seen = WeightSeen(at=NOON, weight=Weight(5), step=2)
    assert line(seen) == "12:00:00Z  step 3: the gateway serves 5 %; its soak begins"


def test_text_of_others_forges_no_line() -> None:
    """Line breaks, escape sequences and direction marks do not survive: a log stays what it is."""
    forged = "x\n::error::y\r\x1b[31mred\u202e\u2028z"
    told = line(Paused(at=NOON, because=forged))
    assert len(told.splitlines()) == 1
    assert told.isprintable()
    assert one_line(forged) == "x ::error::y [31mred z"


def test_a_promoted_release_is_summed_up() -> None:
    """What is stable now, and the way back for as long as there is one."""
    story = good()
    lines = summary(story.state, story.now)
    assert lines[0] == "chat in production: v1.4.0 has replaced v1.3.2 (rollout 12-v1.4.0)"
    assert lines[1] == "  ✓ promoted: v1.4.0 is the stable release since 2026-03-01 12:01:27 UTC"
    assert lines[2] == "  v1.3.2 stays in reserve until 2026-03-02 12:01:27 UTC"
    assert lines[-1].endswith("`rollout abort`")


def test_a_rollback_is_summed_up_with_its_cause_said_once() -> None:
    """The outcome, the cause and each gate's numbers; the cause is not repeated."""
    story = bad()
    lines = summary(story.state, story.now)
    assert lines[1].startswith("  ✗ rolled back since 2026-03-01 12:00:33 UTC, to v1.3.2: the canary is unhealthy: llm")
    assert sum(story.state.because in text for text in lines) == 1
    assert any(text.startswith("    llm failures  ✗ unhealthy ") and "canary 18.2 % of 66" in text for text in lines)
    assert any("evidence 100 % of the threshold" in text for text in lines)


def test_every_gate_is_summed_up_in_its_own_unit() -> None:
    """Durations with their ranges, where slow begins, values of a query, the instances; what ranges are, once."""
    story = slow()
    lines = summary(story.state, story.now)
    (latency,) = (text for text in lines if text.startswith("    latency  "))
    assert "canary p95 487 ms (over 300 ms), stable p95 253 ms (200–300 ms); evidence 100 % of the threshold" in latency
    assert latency.endswith("slow is longer than 300 ms; tolerated in effect is an increase of 28 % to 32 %")
    (memory,) = (text for text in lines if text.startswith("    memory  "))
    assert "evidence" not in memory
    assert "of 58" not in memory
    assert sum("ranges hold at every look at once" in text for text in lines) == 1
    held = restarting()
    assert any(
        text.startswith("    instances") and text.endswith("1 of 2 ready, and 1 min is borne")
        for text in summary(held.state, held.now)
    )


def test_a_soaking_step_says_what_is_left_and_what_comes_next() -> None:
    """Step, weight, soak left, the next weight and the earliest promotion."""
    story = Story(plan=plan()).run(42)
    lines = summary(story.state, story.now, story.judgement)
    assert lines[1] == "  stepping: step 4 of 7: the canary gets 10 %; 9 s of 12 s soak left"
    assert lines[2] == "  next: 25 % at 12:00:51Z if the gates are healthy; promotion at 12:01:27Z at the earliest"
    assert not notes(story.state, story.now, story.judgement)


def test_who_waits_for_a_person_says_how_to_go_on() -> None:
    """An approval and a pause name their commands; before the soak is over nobody is asked to approve."""
    waiting = Story(plan=plan(approve=10)).run(58)
    assert waiting.then is not None
    assert summary(waiting.state, waiting.now, waiting.judgement)[-1] == (
        "  ! waits for an approval of 25 %: `rollout approve` or `rollout abort`"
    )
    early = Story(plan=plan(approve=10)).run(42)
    assert not notes(early.state, early.now, early.judgement)
    paused = Story(plan=plan(), orders={20: (Order.PAUSE, "ann")}).run(40)
    lines = summary(paused.state, paused.now, paused.judgement)
    assert lines[-1] == "  ! paused by ann: `rollout resume` or `rollout abort`"
    assert lines[2] == "  next: 5 % once somebody resumes the rollout"


def _soaking() -> State:
    return Story(plan=plan()).run(42).state


def test_what_went_wrong_is_noted() -> None:
    """Interruption, drift, failures and blindness each have their sentence."""
    state = replace(_soaking(), interrupted="SIGTERM", drift=Weight(1), failure="no route", tries=2, pending=MOVE)
    found = [str(note) for note in notes(state, NOON)]
    assert "! the gateway serves 1 % where 10 % was ordered" in found
    assert "! could not move the canary to 5 % (2 tries failed): no route" in found
    assert found[-1].endswith("was stopped by SIGTERM; take it up again: `rollout run` or `rollout tick`")


def test_blindness_is_noted_with_what_it_leads_to() -> None:
    """With users on the canary it leads back to stable, unless the plan says hold."""
    state = replace(_soaking(), blind_since=NOON)
    assert "goes back to stable at 12:05:00Z" in str(notes(state, NOON + 60 * SECOND)[0])
    held = replace(state, plan=replace(state.plan, on_blind=OnBlind.HOLD))
    assert "no metrics for 1 min; the weight is held" in str(notes(held, NOON + 60 * SECOND)[0])


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(milliseconds=180), "0.2 s"),
        (timedelta(seconds=-9.96), "10 s"),
        (timedelta(seconds=75.4), "1 min 15 s"),
        (timedelta(hours=2, minutes=5, seconds=31), "2 h 6 min"),
        (timedelta(0), "0 s"),
    ],
)
def test_a_span_is_as_precise_as_its_reader_needs(length: timedelta, words: str) -> None:
    """Tenths for short ones, no seconds for long ones."""
    assert span(length) == words


@pytest.mark.parametrize(
    ("log_e", "threshold", "expected"),
    [
        (0.0, 5.0, 0.0),
        (2.5, 5.0, 0.5),
        (9.0, 5.0, 1.0),
        (-3.0, 5.0, 0.0),
        (1.0, 0.0, 0.0),
        (float("inf"), 5.0, 1.0),
        (float("-inf"), 5.0, 0.0),
        (float("nan"), 5.0, 0.0),
    ],
)
def test_evidence_is_a_share_of_the_threshold(log_e: float, threshold: float, expected: float) -> None:
    """Whatever the numbers are, the share is 0 to 1."""
    result = GateResult(gate="g", verdict=Verdict.HEALTHY, sentence="", log_e=log_e, log_threshold=threshold)
    assert evidence(result) == expected


def test_a_share_names_what_it_is_a_share_of() -> None:
    """A rate without its number of requests would say too much."""
    assert share(Counts(total=1204, failures=5)) == "0.42 % of 1,204"
    assert share(Counts()) == "no requests"
