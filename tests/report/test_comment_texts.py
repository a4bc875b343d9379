"""The comments say what they should, word for word, fit into what GitHub takes, and say the same in both languages."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from rollout.core.events import Event, Interrupted
from rollout.core.language import Language
from rollout.core.plan import OnBlind, Weight
from rollout.core.state import State
from rollout.core.verdict import Judgement, Verdict
from rollout.report.page import Page, Situation, exposure, situation
from rollout.report.phrases import PHRASES
from rollout.report.pull_request import (
    LONGEST,
    annotation,
    approval_comment,
    finished_comment,
    job_summary,
    marker,
    marker_of,
    paused_comment,
    rolled_back_comment,
    short_status,
    started_comment,
    status_comment,
)
from tests.report.said import FOLDER, names, scene, text
from tests.report.scenes import LINKS, SCENES, SHIPPED

ALL = (
    approval_comment,
    finished_comment,
    job_summary,
    paused_comment,
    rolled_back_comment,
    started_comment,
    status_comment,
)


@pytest.mark.parametrize("name", names())
def test_what_is_said_is_what_was_reviewed(name: str) -> None:
    """Where this fails on purpose: `python -m tests.report.said`, and read the difference."""
    assert text(name) == (FOLDER / name).read_text(encoding="utf-8")


def test_there_is_no_file_that_nothing_is_compared_with() -> None:
    """A scene that goes takes its files along."""
    assert {file.name for file in FOLDER.glob("*.md")} == set(names())


def test_all_languages_have_the_same_phrases_with_the_same_values() -> None:
    """No key is missing, and no value is forgotten or made up."""
    values = {
        language: {
            key: {name for _, name, _, _ in string.Formatter().parse(words) if name} for key, words in table.items()
        }
        for language, table in PHRASES.items()
    }
    english = values[Language.EN]
    for language, table in values.items():
        assert table.keys() == english.keys(), language
        for key, found in table.items():
            assert found <= english[key], key
            assert found >= english[key] - {"steps"}, key


def test_every_comment_can_be_found_again_by_its_first_line() -> None:
    """And only by that: each kind has another one, and so has each approval and each pause."""
    page = scene("approval")
    bodies = [comment(page) for comment in ALL if comment is not job_summary]
    assert len({marker_of(body) for body in bodies}) == len(bodies)
    assert marker_of(status_comment(page)) == marker(page.state, "status")
    later = replace(page, state=replace(page.state, step=page.state.step + 1))
    assert marker_of(approval_comment(later)) != marker_of(approval_comment(page))
    assert marker_of(status_comment(later)) == marker_of(status_comment(page))
    with pytest.raises(ValueError, match="marker"):
        marker_of("hello")


def test_a_marker_cannot_be_ended_by_a_name() -> None:
    """Whatever a service is called."""
    state = scene("starting").state
    evil = replace(state, plan=replace(state.plan, service="a --> <b> kind=status -- \n"))
    line = marker(evil, "status")
    assert line.count("-->") == line.count("--") - 1 == 1
    assert "\n" not in line
    assert "<b>" not in line


def test_a_rollback_says_first_what_happened_and_to_how_many_users() -> None:
    """Then why, then what to do, then on what it rests."""
    body = rolled_back_comment(scene("rolled_back")).splitlines()
    assert body[1].endswith("was rolled back in production: at most 1 % of users were on it, for 2 min")
    whole = "\n".join(body)
    parts = (
        "> [!CAUTION]",
        "llm failures</b>",
        "What to do now",
        "| Gate |",
        "lines of the canary's log",
        "Commits since",
        "mermaid",
    )
    places = [whole.index(part) for part in parts]
    assert places == sorted(places)


def test_nobody_was_on_a_release_that_failed_its_checks() -> None:
    """The comment says so, and shows what the check printed."""
    page = scene("checks_failed")
    assert exposure(page) is None
    body = rolled_back_comment(page)
    assert "no user was on it" in body.splitlines()[1]
    assert '{"db": "migration 0042 is pending"}' in body
    assert "mermaid" not in body


def test_after_a_promotion_everybody_was_on_it() -> None:
    """Also in the minutes after the gateway was set back to a single version."""
    page = scene("promoted")
    found = exposure(page)
    assert found is not None
    assert found.weight == Weight(100)
    later = exposure(replace(page, now=page.now + timedelta(hours=1)))
    assert later is not None
    assert later.lasted - found.lasted == timedelta(hours=1)


def lost(state: State) -> State:
    """The same without metrics for two minutes."""
    return replace(state, blind_since=scene("under_way").now - timedelta(minutes=2))


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        (lambda state: state, Situation.SOAKING, "**Next:** 25 %"),
        (lost, Situation.BLIND, "goes back to <code>v1.3.2</code> at 13:01 UTC unless they return"),
        (lambda state: replace(lost(state), plan=replace(state.plan, on_blind=OnBlind.HOLD)), Situation.BLIND, "held"),
        (lambda state: replace(state, paused="by mona"), Situation.PAUSED, "paused by mona.<br>"),
        (lambda state: replace(state, abort="mona"), Situation.SOAKING, "mona has ordered to abort."),
        (lambda state: replace(state, drift=Weight(50)), Situation.SOAKING, "serves 50 % where 10 % was ordered"),
        (lambda state: replace(state, hurried="mona"), Situation.SOAKING, "promotion at once, ordered by mona"),
        (lambda state: replace(state, interrupted="SIGTERM"), Situation.SOAKING, "was stopped (<code>SIGTERM</code>)"),
        (
            lambda state: replace(state, unready_since=state.seen_at, instances=(1, 2)),
            Situation.SOAKING,
            "1 of 2 instances of the canary ready",
        ),
    ],
)
def test_what_is_the_matter_stands_above_everything_else(
    change: Callable[[State], State], expected: Situation, words: str
) -> None:
    """A person on call reads the first lines only."""
    page = scene("under_way")
    changed = replace(page, state=change(page.state))
    assert situation(changed) is expected
    body = status_comment(changed)
    assert words in body
    assert body.index(words) < body.index("**Gates:**")


def test_a_step_that_takes_longer_says_why() -> None:
    """The soak is over, and the verdict is not healthy."""
    page = scene("under_way")
    assert page.state.soaked_at is not None
    unsure = Judgement(verdict=Verdict.INCONCLUSIVE, reason="http 5xx: only 3 of 20 requests at this step so far")
    late = replace(page, now=page.state.soaked_at + timedelta(minutes=5), judgement=unsure)
    assert situation(late) is Situation.LENGTHENED
    assert "only 3 of 20 requests" in status_comment(late)
    assert "the verdict is not healthy" in annotation(late)


def test_a_run_that_was_stopped_is_explained_in_one_sentence() -> None:
    """The annotation blames no release for it."""
    page = scene("under_way")
    gone = replace(page, state=replace(page.state, interrupted="SIGINT"))
    assert annotation(gone).startswith("The run was stopped by SIGINT")
    assert "says nothing about the release" in annotation(gone)


def long(page: Page, *, events: int = 0, lines: int = 0, commits: int = 0) -> Page:
    """The page with more of everything."""
    more: tuple[Event, ...] = tuple(Interrupted(at=page.now, signal=f"SIG{place}" * 60) for place in range(events))
    return replace(
        page,
        events=(*page.events, *more),
        canary_log=tuple(f"{place} " + "x" * 2000 for place in range(lines)),
        shipped=tuple(replace(SHIPPED[0], title=f"{place} " + "*" * 2000) for place in range(commits)),
    )


def test_a_comment_is_cut_where_it_hurts_least() -> None:
    """History first, then the log, then the commits; the rest stays."""
    assert LONGEST < 65_536, "GitHub refuses longer ones"
    page = scene("rolled_back")
    assert "older events" not in rolled_back_comment(page)
    some = rolled_back_comment(long(page, events=500))
    assert len(some) <= LONGEST
    assert "older events are in the journal" in some
    much = rolled_back_comment(long(page, events=500, lines=500, commits=500))
    assert len(much) <= LONGEST
    assert "| Gate |" in much
    assert "more commits are not shown" in much
    for part in ("What happened", "xx"):
        assert len(re.findall(part, much)) <= len(re.findall(part, some)) + 40 * 400


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("language", Language)
def test_short_texts_are_short_and_one_line(name: str, language: Language) -> None:
    """GitHub refuses a longer description."""
    page = scene(name, language)
    assert len(short_status(page)) <= 140
    huge = replace(
        page, state=replace(page.state, plan=replace(page.state.plan, service="s" * 999), paused="by " + "x" * 999)
    )
    for text_of in (short_status, annotation):
        assert text_of(huge).isprintable()
    assert len(short_status(huge)) <= 140


def test_links_that_are_not_there_are_not_shown() -> None:
    """No empty link, and the run of now is not an earlier one."""
    page = replace(scene("under_way"), links=replace(LINKS, environment_url="", run_url=""), runs=())
    body = status_comment(page)
    assert "()" not in body
    assert "[run]" not in body
    assert "[report]" not in body
