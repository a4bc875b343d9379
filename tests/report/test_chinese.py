"""The Chinese texts are Chinese: what the machine, the judge and the log say in English is known to the table."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.core.commands import Refusal, accept
from rollout.core.decisions import Cause, Deploy, Discard, MoveTraffic, Promote, Retire, RollBack, RunChecks
from rollout.core.events import (
    Checked,
    Commanded,
    Drifted,
    Event,
    Failed,
    InstancesSeen,
    Intended,
    Interrupted,
    Judged,
    Order,
    OrderRefused,
    Paused,
)
from rollout.core.instances import instances_result
from rollout.core.language import Language
from rollout.core.plan import Weight
from rollout.core.state import Phase
from rollout.report.chinese import in_chinese
from rollout.report.lines import sentence
from rollout.report.pull_request import status_comment
from rollout.report.words import because_words
from tests.report.said import scene
from tests.report.stories import NOON, Story, bad, fine, good, hungry, restarting, slow

_KNOWN = (
    r"v\d[\w.]*|http 5xx|llm failures|latency(?: p99)?|memory|instances|mona|alice|chat|production|12-v1\.4\.0|p\d\d|ms"
    r"|UTC|the order of \w+ to \w+|命令 \w+|SIG[A-Z]+|false_rollback|NaN|GET /api/health|sha256:\w*|[0-9a-f]{12}|Z"
)
_ENGLISH = re.compile(r"[A-Za-z]{2,}")


def english_left(said: str) -> list[str]:
    """Words that nobody translated, but for names."""
    return _ENGLISH.findall(re.sub(_KNOWN, " ", in_chinese(said)))


@pytest.mark.parametrize("make", [good, bad, fine, slow, hungry, restarting])
def test_nothing_a_rollout_says_stays_english(make: object) -> None:
    """Every line of the log and every sentence of a gate, of whole rollouts with gates of every kind."""
    assert callable(make)
    story: Story = make()
    said = {sentence(event, story.plan) for event in story.events}
    said |= {sentence(event) for event in story.events}
    judged = [event.judgement for event in story.events if isinstance(event, Judged)]
    said |= {one.reason for one in judged} | {result.sentence for one in judged for result in one.gates}
    assert [in_chinese(one) for one in said if english_left(one)] == []


def test_what_goes_wrong_is_said_in_chinese() -> None:
    """Failures, drift, pauses, orders, refusals, interruptions: what good rollouts do not have."""
    move = MoveTraffic(weight=Weight(5), step=2)
    actions = (Deploy(), RunChecks(), move, Promote(), RollBack(cause=Cause.BLIND, because="x"), Retire(), Discard())
    checks = scene("checks_failed").state.checked
    assert checks is not None
    events: list[Event] = [
        *(Failed(at=NOON, action=one, because="x", permanent=p) for one in actions for p in (True, False)),
        Drifted(at=NOON, expected=Weight(5), seen=Weight(0.5)),
        InstancesSeen(at=NOON, ready=1, wanted=2, restarts=1),
        *(Commanded(at=NOON, order=order, by="mona", step=2) for order in Order),
        *(OrderRefused(at=NOON, order=str(order), by="mona", because="the rollout is not paused") for order in Order),
        Paused(at=NOON, because="because the gateway serves 0 % where 5 % was ordered"),
        Paused(at=NOON, because="because no healthy verdict 1:00:00 after the soak: nobody looked at the metrics"),
        Interrupted(at=NOON, signal="SIGTERM"),
        Checked(at=NOON, results=()),
        Intended(at=NOON, action=RollBack(cause=Cause.ORDERED, because="ordered by mona after the promotion")),
        Intended(
            at=NOON, action=RollBack(cause=Cause.BLIND, because="no metrics for 301 s with users on the canary: x")
        ),
    ]
    assert [in_chinese(one) for one in map(sentence, events) if english_left(one)] == []


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_said_in_chinese(cause: Cause) -> None:
    """With something behind it, and alone."""
    assert not english_left(because_words(cause, ""))
    assert not english_left(because_words(cause, "the canary was started and no longer runs"))


def test_every_refusal_is_said_in_chinese() -> None:
    """In every phase, for every order, for another step and another rollout."""
    state = scene("under_way").state
    states = [
        replace(state, phase=phase, **flags)
        for phase in Phase
        for flags in ({}, {"paused": "by mona"}, {"abort": "mona"}, {"discarded": True}, {"step": 4, "approved": True})
    ]
    answers = [accept(one, order, by="mona", now=NOON) for one, order in itertools.product(states, Order)]
    answers += [accept(state, Order.PAUSE, by="mona", now=NOON, rollout="11")]
    answers += [accept(state, Order.PAUSE, by="mona", now=NOON, step=0)]
    answers += [accept(None, Order.PAUSE, by="mona", now=NOON)]
    refused = {one.because for one in answers if isinstance(one, Refusal)}
    assert len(refused) > 10
    assert [in_chinese(one) for one in refused if english_left(one)] == []


@pytest.mark.parametrize(("restarts", "ready"), [(0, 2), (1, 2), (2, 1), (3, 0), (0, 1)])
def test_instances_are_described_in_chinese(restarts: int, ready: int) -> None:
    """Also while they are not ready."""
    state = replace(scene("under_way").state, unready_since=NOON)
    said = instances_result(state, restarts=restarts, ready=ready, wanted=2, now=NOON + timedelta(seconds=70)).sentence
    assert not english_left(said), in_chinese(said)


def test_words_of_others_stay_as_they_are() -> None:
    """A wrong translation would be worse than none."""
    for said in ("dial tcp 10.0.0.1:9090: connect: connection refused", "a: b", "x; y, and z", "", ": ", "canary"[:0]):
        assert in_chinese(said) == said
    told = in_chinese("the metrics cannot be had: dial tcp: refused; try again")
    assert told.startswith("无法取得指标：")
    assert "dial tcp: refused; try again" in told


def test_a_long_text_is_translated_in_a_moment() -> None:
    """No pattern takes more than a glance, whatever stands in it."""
    for said in ("a: " * 3000, "; " * 3000, "because " * 2000, "step 1: " * 2000):
        in_chinese(said)


def test_the_comment_is_chinese_but_for_names() -> None:
    """The title, the gates, what comes next, the commands."""
    body = status_comment(scene("under_way", Language.ZH))
    for words in ("承接 10% 流量", "下一步", "金丝雀", "稳定版", "用评论控制", "观察进度"):
        assert words in body
    for words in ("Next", "Gates", "healthy", "Steer", "Commits since"):
        assert words not in body
