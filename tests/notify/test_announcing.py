"""Which moments are told, in which words, and that each is told once whoever drives the rollout."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rollout.cli.announcing import Announcer, news
from rollout.core.decisions import Cause, Decision, Promote, RollBack, Wait
from rollout.core.events import (
    Checked,
    Deployed,
    Event,
    Failed,
    Intended,
    Judged,
    Paused,
    Promoted,
    RolledBack,
    Started,
)
from rollout.core.language import Language
from rollout.core.machine import Observation
from rollout.core.plan import OnBlind, Step
from rollout.core.state import State, fold
from rollout.core.verdict import GateResult, Judgement, Verdict
from rollout.errors import GitHubUnavailable
from rollout.journals.file import FileJournal
from rollout.notify.evidence import decisive
from rollout.notify.memory import FileMemory, Memory, RefMemory, Told
from rollout.notify.message import Message, Reason
from tests.core.rollouts import TEN, after, moving, plan_around, started

WAIT = Decision(then=Wait(until=after(1000), reason="soaking"))
SENTENCE = "the canary fails 5.1 % of 1,204 requests, stable 0.3 % of 9,800; allowed is at most 2 %"
PLAN = plan_around(Step(weight=TEN, soak=timedelta(seconds=300), approve=True))


def judged(verdict: Verdict, sentence: str = "fine") -> Judgement:
    """A verdict of the one gate."""
    gate = GateResult(gate="5xx", verdict=verdict, sentence=sentence)
    reason = "all gates are healthy" if verdict is Verdict.HEALTHY else f"5xx: {sentence}"
    return Judgement(verdict=verdict, gates=(gate,), reason=reason)


def at_ten() -> tuple[Event, ...]:
    """Up to the first users."""
    return (started(PLAN), Deployed(at=after(5)), Checked(at=after(6), results=()), *moving(TEN, 1, 70))


def rolled_back() -> tuple[Event, ...]:
    """The canary is unhealthy, and goes."""
    judgement = judged(Verdict.UNHEALTHY, SENTENCE)
    return (
        Judged(at=after(100), step=1, judgement=judgement),
        Intended(at=after(100), action=RollBack(cause=Cause.UNHEALTHY, because=judgement.reason)),
        RolledBack(at=after(101)),
    )


class Listener:
    """One process's announcer onto a journal, and what it has told."""

    def __init__(self, directory: Path, memory: Memory | None = None, *, language: Language = Language.EN) -> None:
        self.journal = FileJournal(directory)
        self.told: list[Message] = []
        self.complaints: list[str] = []
        self.announcer = Announcer(
            self.journal,
            self.told.append,
            language=language,
            link="https://github.com/example/chat/actions/runs/7",
            memory=memory,
            complain=self.complaints.append,
        )

    def look(self, *, at: datetime | None = None, judgement: Judgement | None = None) -> None:
        """One turn of the engine."""
        events = self.journal.read().events
        state = fold(events)
        assert state is not None
        self.announcer(state, Observation(judgement=judgement), WAIT, at or events[-1].at)

    @property
    def reasons(self) -> list[str]:
        """What was told, in a word each."""
        return [message.reason.value for message in self.told]


def write(directory: Path, *events: Event) -> None:
    """As a driver does."""
    journal = FileJournal(directory)
    for event in events:
        head = journal.read().head
        if isinstance(event, Started):
            journal.begin(event, expect=head)
        else:
            journal.append((event,), expect=head)


def test_a_rollout_that_fails_is_told_at_its_start_and_at_its_end(tmp_path: Path) -> None:
    """With the gate, the numbers, the step and the link."""
    listener = Listener(tmp_path)
    write(tmp_path, *at_ten())
    listener.look()
    write(tmp_path, *rolled_back())
    for _ in range(3):
        listener.look()
    begun, ended = listener.told
    assert begun.title == "▶ Started: v2 is to replace v1 (chat, production)"
    assert begun.evidence == "The steps are 0, 10, 100 %, 16 min of soak in all"
    assert (ended.reason, ended.title) == (Reason.ROLLED_BACK, "✗ Rolled back: v2, to v1 (chat, production)")
    assert ended.evidence == f"The canary is unhealthy: 5xx: {SENTENCE}"
    assert (ended.gate, ended.step, ended.steps, ended.weight) == ("5xx", 2, 3, 10)
    assert (ended.release, ended.stable, ended.rollout) == ("v2", "v1", "1-v2")
    assert ended.link.endswith("/runs/7")


def test_the_same_is_told_in_chinese(tmp_path: Path) -> None:
    """Title, labels, evidence and advice."""
    listener = Listener(tmp_path, language=Language.ZH)
    write(tmp_path, *at_ten(), *rolled_back())
    listener.look()
    begun, ended = listener.told
    assert begun.title == "▶ 开始发布：v2 将取代 v1（chat，production）"
    assert ended.title == "✗ 已回滚：v2，切回 v1（chat，production）"
    assert ended.evidence.startswith("金丝雀不健康：5xx：金丝雀 1,204 次请求中失败 5.1%")
    assert "stable" not in ended.evidence
    assert "修复" in ended.advice


def test_an_approval_is_asked_for_once_a_step(tmp_path: Path) -> None:
    """As soon as nothing else is missing, and not before."""
    listener = Listener(tmp_path)
    write(tmp_path, *at_ten())
    healthy = judged(Verdict.HEALTHY)
    listener.look(at=after(369), judgement=healthy)
    assert listener.reasons == ["started"]
    listener.look(at=after(371), judgement=judged(Verdict.INCONCLUSIVE))
    assert listener.reasons == ["started"]
    for seconds in (372, 380, 3600):
        listener.look(at=after(seconds), judgement=healthy)
    assert listener.reasons == ["started", "needs_a_person"]
    asked = listener.told[-1]
    assert asked.title == "! Approval needed: v2 has soaked at 10 % (chat, production)"
    assert asked.evidence == "The soak is over and every gate is healthy; next is 100 %"
    assert "/rollout approve" in asked.advice
    assert asked.gate == ""


def test_each_pause_of_the_machine_calls_a_person(tmp_path: Path) -> None:
    """Also the second one for the same reason; a pause that a person ordered calls nobody."""
    listener = Listener(tmp_path)
    write(tmp_path, *at_ten())
    for seconds in (500, 600):
        because = "because no healthy verdict 1:00:00 after the soak: 5xx: too little data"
        write(tmp_path, Paused(at=after(seconds), because=because))
        listener.look()
    assert listener.reasons == ["started", "needs_a_person", "needs_a_person"]
    assert listener.told[-1].evidence == "No healthy verdict 1:00:00 after the soak: 5xx: too little data"
    assert "rollout resume" in listener.told[-1].advice


def test_blindness_is_told_once_it_lasts(tmp_path: Path) -> None:
    """The first moments of a canary have no samples yet, and a lost scrape is no news; a minute is, once a step."""
    listener = Listener(tmp_path)
    blind = judged(Verdict.BLIND, "the metrics cannot be had: connection refused")
    write(tmp_path, *at_ten(), Judged(at=after(100), step=1, judgement=blind))
    listener.look(at=after(159), judgement=blind)
    assert listener.reasons == ["started"]
    listener.look(at=after(160), judgement=judged(Verdict.HEALTHY))
    assert listener.reasons == ["started"]
    listener.look(at=after(160), judgement=blind)
    listener.look(at=after(300), judgement=blind)
    assert listener.reasons == ["started", "blind"]
    told = listener.told[-1]
    assert told.title == "? Blind: nobody judges v2 at 10 % (chat, production)"
    assert told.evidence == (
        "No metrics since 12:01 UTC; the canary goes back to stable at 12:06 UTC unless they return: "
        "5xx: the metrics cannot be had: connection refused"
    )


def test_what_is_held_while_blind_is_not_said_to_go_back(tmp_path: Path) -> None:
    """The message promises what the plan does."""
    plan = replace(PLAN, on_blind=OnBlind.HOLD, blind_budget=timedelta(seconds=20))
    blind = judged(Verdict.BLIND, "away")
    listener = Listener(tmp_path)
    write(tmp_path, started(plan), *at_ten()[1:], Judged(at=after(100), step=1, judgement=blind))
    listener.look(at=after(110), judgement=blind)
    assert listener.told[-1].evidence == "No metrics since 12:01 UTC; the weight is held: 5xx: away"


def test_a_rollback_that_fails_again_and_again_calls_a_person(tmp_path: Path) -> None:
    """Users may still be on the canary: nothing is more urgent."""
    listener = Listener(tmp_path)
    back = RollBack(cause=Cause.ORDERED, because="ordered by ann")
    write(tmp_path, *at_ten(), Intended(at=after(100), action=back))
    for seconds in (101, 103, 107, 115):
        write(tmp_path, Failed(at=after(seconds), action=back, because="connection refused", permanent=False))
        listener.look()
    assert listener.reasons == ["started", "needs_a_person"]
    told = listener.told[-1]
    assert told.title == "! Person needed: v2 cannot be rolled back (chat, production)"
    assert told.evidence == "3 tries failed, and it is tried again: connection refused"


def test_an_order_is_told_by_the_name_of_who_gave_it(tmp_path: Path) -> None:
    """No gate is blamed for what a person ordered, whatever the gates said."""
    back = RollBack(cause=Cause.ORDERED, because="ordered by ann")
    unsure = Judged(at=after(99), step=1, judgement=judged(Verdict.INCONCLUSIVE, "too little data"))
    write(tmp_path, *at_ten())
    english, chinese = Listener(tmp_path), Listener(tmp_path, language=Language.ZH)
    write(tmp_path, unsure, Intended(at=after(100), action=back), RolledBack(at=after(101)))
    for listener in (english, chinese):
        listener.look()
    assert (english.told[-1].evidence, english.told[-1].gate) == ("Ordered by ann", "")
    assert chinese.told[-1].evidence == "人工下令：由 ann 下令"


def test_a_promotion_says_how_to_go_back(tmp_path: Path) -> None:
    """For as long as the former release is kept."""
    listener = Listener(tmp_path)
    write(tmp_path, *at_ten(), Intended(at=after(400), action=Promote()), Promoted(at=after(401)))
    listener.look()
    assert listener.told[-1].title == "✓ Promoted: v2 has replaced v1 (chat, production)"
    assert listener.told[-1].advice == "The way back to v1: `rollout abort`, until 2026-01-02 12:06 UTC."


def test_every_moment_has_words_in_both_languages(tmp_path: Path) -> None:
    """With and without a former release, for every cause; nothing is empty that people read first."""
    for language in Language:
        for number, cause in enumerate(Cause):
            directory = tmp_path / f"{language}{number}"
            listener = Listener(directory, language=language)
            first = started(PLAN, stable=None) if number % 2 else started(PLAN)
            back = RollBack(cause=cause, because="connection refused")
            write(directory, first, *at_ten()[1:], Intended(at=after(100), action=back), RolledBack(at=after(101)))
            listener.look()
            assert listener.reasons == ["started", "rolled_back"]
            assert all(message.title and message.evidence for message in listener.told)
            assert "connection refused" in listener.told[-1].evidence.lower()


def remembering(tmp_path: Path) -> FileMemory:
    """What processes of one machine share."""
    return FileMemory(tmp_path / "told.json")


def test_a_process_that_takes_over_repeats_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    """Each turn by a process of its own, as when it is woken for each tick; one is killed before it has told."""
    first = Listener(tmp_path, remembering(tmp_path))
    write(tmp_path, *at_ten())
    first.look()
    second = Listener(tmp_path, remembering(tmp_path))
    second.look(at=after(372), judgement=judged(Verdict.HEALTHY))
    third = Listener(tmp_path, remembering(tmp_path))
    third.look(at=after(380), judgement=judged(Verdict.HEALTHY))
    write(tmp_path, *rolled_back())  # and is killed
    fourth = Listener(tmp_path, remembering(tmp_path))
    fourth.look()
    fifth = Listener(tmp_path, remembering(tmp_path))
    fifth.look()
    told = [listener.reasons for listener in (first, second, third, fourth, fifth)]
    assert told == [["started"], ["needs_a_person"], [], ["rolled_back"], []]


def test_the_next_rollout_is_told_anew(tmp_path: Path) -> None:
    """Also where another process than the one that tells has started it."""
    listener = Listener(tmp_path, remembering(tmp_path))
    write(tmp_path, *at_ten(), *rolled_back())
    listener.look()
    write(tmp_path, started(PLAN, rollout="2-v2"))
    other = Listener(tmp_path, remembering(tmp_path))
    other.look()
    assert other.reasons == ["started"]
    assert other.told[0].rollout == "2-v2"


def test_without_a_memory_what_is_there_counts_as_told(tmp_path: Path) -> None:
    """Somebody who adds `notify` in the middle of a rollout is not told its beginning."""
    write(tmp_path, *at_ten())
    listener = Listener(tmp_path)
    listener.look()
    assert listener.reasons == []
    write(tmp_path, *rolled_back())
    listener.look()
    assert listener.reasons == ["rolled_back"]


def test_what_is_a_day_old_is_no_news(tmp_path: Path) -> None:
    """A tick that comes very late tells of the end, and not of the beginning."""
    listener = Listener(tmp_path, remembering(tmp_path))
    write(tmp_path, *at_ten(), Paused(at=after(86_000), because="because the canary cannot be promoted: x"))
    listener.look(at=after(100_000))
    assert listener.reasons == ["needs_a_person"]


def test_a_moment_that_is_told_late_is_told_as_it_was(tmp_path: Path) -> None:
    """The pause is not described by the rollback that followed it."""
    listener = Listener(tmp_path)
    write(tmp_path, *at_ten(), Paused(at=after(90), because="because the canary cannot be promoted: x"), *rolled_back())
    listener.look()
    assert listener.reasons == ["started", "needs_a_person", "rolled_back"]
    assert listener.told[1].title == "! Person needed: v2 is paused at 10 % (chat, production)"
    assert listener.told[1].evidence == "The canary cannot be promoted: x"


def test_a_gate_that_is_only_observed_is_blamed_for_nothing() -> None:
    """The gate of a message is one that acts."""
    watched = GateResult(gate="watched", verdict=Verdict.UNHEALTHY, sentence="bad", observe=True)
    acting = GateResult(gate="acting", verdict=Verdict.UNHEALTHY, sentence="bad")
    found = decisive(Judgement(verdict=Verdict.UNHEALTHY, gates=(watched, acting)))
    assert found is acting


class Shelf:
    """A place with commits and refs, and how often it was asked."""

    def __init__(self) -> None:
        self.refs: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.away = False

    def head(self, ref: str) -> str:
        """See RefStore."""
        self._answer()
        return self.refs.get(ref, "")

    def text(self, commit: str, name: str) -> str | None:
        """See RefStore."""
        self._answer()
        return self.texts.get(f"{commit}/{name}")

    def commit(self, *, name: str, text: str, message: str, parent: str) -> str:
        """See RefStore."""
        self._answer()
        commit = f"{len(self.texts):040x}"
        self.texts[f"{commit}/{name}"] = text
        return commit

    def move(self, ref: str, *, to: str, parent: str) -> str:
        """See RefStore."""
        self._answer()
        if self.refs.get(ref, "") != parent:
            return "Update is not a fast forward"
        self.refs[ref] = to
        return ""

    def _answer(self) -> None:
        if self.away:
            raise GitHubUnavailable("GitHub does not answer")


def test_what_has_been_told_may_be_kept_under_a_git_ref(tmp_path: Path) -> None:
    """Runners share nothing else; where somebody else was faster, the next write is on top of theirs."""
    shelf = Shelf()
    one, other = (RefMemory(shelf, ref="refs/told/chat/production") for _ in range(2))
    assert one.load() is None
    assert other.load() is None
    one.save(Told(rollout="1-v1", keys=frozenset({"started-0"})))
    other.save(Told(rollout="1-v1", keys=frozenset({"blind-1"})))
    assert other.load() == Told(rollout="1-v1", keys=frozenset({"started-0"}))
    other.save(Told(rollout="1-v1", keys=frozenset({"started-0", "blind-1"})))
    assert RefMemory(shelf, ref="refs/told/chat/production").load() == other.load()


def test_a_memory_that_is_away_is_told_of_once_and_stops_nothing(tmp_path: Path) -> None:
    """People hear of the rollout all the same."""
    shelf = Shelf()
    listener = Listener(tmp_path, RefMemory(shelf, ref="refs/told/chat/production"))
    shelf.away = True
    write(tmp_path, *at_ten(), *rolled_back())
    listener.look()
    listener.look()
    assert listener.reasons == ["started", "rolled_back"]
    assert listener.complaints == [
        "what has been told is not remembered, so it may be told twice: GitHub does not answer"
    ]


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"rollout": 1}', "\x00"])
def test_a_broken_memory_is_begun_anew(tmp_path: Path, broken: str) -> None:
    """It is a decoration."""
    (tmp_path / "told.json").write_text(broken)
    memory = remembering(tmp_path)
    assert memory.load() is None
    memory.save(Told(rollout="1-v1"))
    assert memory.load() == Told(rollout="1-v1")
    assert [path.name for path in tmp_path.iterdir()] == ["told.json"]


def test_the_keys_of_what_is_told_never_change() -> None:
    """They are what is remembered: whatever happens later, what was told keeps its key."""
    events = (*at_ten(), *rolled_back())
    known: list[str] = []
    for end in range(1, len(events) + 1):
        state: State | None = fold(events[:end])
        assert state is not None
        keys = [one.key for one in news(events[:end], state, Observation(), events[end - 1].at)]
        assert keys[: len(known)] == known
        assert len(set(keys)) == len(keys)
        known = keys
    assert known == ["started-0", "rolled_back-8"]
