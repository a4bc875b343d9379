"""The page is one file that needs nothing, runs nothing and lets nobody break out of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from rollout.core.events import CheckResult, Order
from rollout.core.release import Release
from rollout.report.html import Section, page
from rollout.report.markup import tag, text
from tests.report.stories import (
    CANARY,
    LATENCY,
    MEMORY,
    NOON,
    SECOND,
    Story,
    bad,
    fine,
    good,
    hungry,
    plan,
    restarting,
    slow,
)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)> & {{x}} ]]> \u202e\x1b\x00"
_VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Reads a page, and fails where elements do not nest."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def read(markup: str) -> Reader:
    """The page as a parser sees it."""
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert not reader.open
    return reader


def section(story: Story, title: str = "") -> Section:
    """A story as a section of the page."""
    return Section(
        state=story.state,
        events=story.events,
        blocks=story.blocks,
        quantiles=story.quantiles,
        judgement=None if story.state.over else story.judgement,
        title=title,
    )


def hostile() -> Story:
    """Every text that others may write is an attack."""
    gates = (
        replace(plan().gates[0], name=HOSTILE),
        replace(LATENCY, name=f"{HOSTILE} latency"),
        replace(MEMORY, name=f"{HOSTILE} query", query=f"{HOSTILE} $version"),
    )
    policy = replace(plan(), service=HOSTILE, environment=HOSTILE, gates=gates)
    result = CheckResult(name=HOSTILE, version="canary", passed=True, detail=HOSTILE, output=HOSTILE * 3)
    release = Release(tag="v2", image=HOSTILE, digest=CANARY.digest, commit=HOSTILE)
    return Story(
        plan=policy, release=release, checks=(result,), orders={15: (Order.PAUSE, HOSTILE), 20: (Order.ABORT, HOSTILE)}
    ).run()


def test_two_rollouts_stand_on_one_page() -> None:
    """Each with its outcome in words, both on the first screen."""
    first, second = good(), bad()
    whole = page([section(first, "A good release"), section(second, "A bad release")], second.now, title="The demo")
    words = "|".join(read(whole).words).replace("\xa0", " ")
    assert "The demo|A good release|v1.4.0|✓ v1.4.0 was promoted. It replaces v1.3.2.|" in words
    assert "A bad release|v1.4.0|✗ v1.4.0 was rolled back to v1.3.2, 0.2 s after the decision.|" in words
    assert "12 of 66 requests failed" in words
    assert "llm failures: canary 18.2 % of 66 (" in words
    assert "), stable 0.42 % of 4,736 (" in words
    assert "; evidence 100 % of the threshold" in words
    for mark in ("→ 1 %", "→ 100 %", "✓ promote", "✗ roll back", "limit 2 %", "1.5 × stable", "time (UTC)"):
        assert mark in words
    assert f"All {len(first.events)} events of the journal" in words


@pytest.mark.parametrize("story", [good, bad, slow, hungry, restarting, hostile])
def test_nothing_is_fetched_and_nothing_runs(story: Callable[[], Story]) -> None:
    """No element that could load or run, no address, and a policy that forbids both anyway."""
    told = story()
    reader = read(page([section(told, HOSTILE), section(told)], told.now, title=HOSTILE))
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "main",
        "footer",
        "table",
        "tbody",
        "thead",
        "tr",
        "td",
        "th",
        "a",
        "span",
        "section",
        "h2",
        "p",
        "b",
        "br",
        "dl",
        "div",
        "dt",
        "dd",
        "small",
        "figure",
        "figcaption",
        "svg",
        "g",
        "path",
        "line",
        "rect",
        "circle",
        "text",
        "h3",
        "ul",
        "li",
        "details",
        "summary",
        "pre",
    }
    assert {name for name, _ in reader.seen} <= allowed
    for _, attributes in reader.seen:
        assert not any(name.startswith("on") or name in ("src", "style", "xlink:href") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policies = [given["content"] for name, given in reader.seen if given.get("http-equiv") == "Content-Security-Policy"]
    assert policies
    assert str(policies[0]).startswith("default-src 'none'")


def test_text_of_others_is_shown_and_not_obeyed() -> None:
    """The attack is on the page as text, without control and direction characters."""
    told = hostile()
    whole = page([section(told)], told.now)
    assert "<script" not in whole
    assert "<img" not in whole
    assert "\u202e" not in whole
    assert "\x1b" not in whole
    assert "\x00" not in whole
    assert any("<script>alert(1)</script>" in words for words in read(whole).words)
    whole.encode("utf-8")


def test_every_coordinate_is_a_number_inside_the_drawing() -> None:
    """No chart draws outside of its paper, and none draws to nan."""
    for story in (good(), bad(), fine(), slow(), hostile(), Story(plan=plan(), rps=3).run(50)):
        whole = page([section(story)], story.now)
        assert "nan" not in whole.replace("finance", "")
        for name, attributes in read(whole).seen:
            for key in ("x", "x1", "x2", "cx"):
                if key in attributes and name != "svg":
                    assert 0 <= float(attributes[key] or "nan") <= 980
        assert not re.search(r'd="[^"]*(inf|nan)', whole)


def test_a_rollout_of_no_traffic_and_no_verdict_has_a_page() -> None:
    """At the first second there is nothing to draw, and the page says so."""
    story = Story(plan=plan())
    words = "|".join(read(page([section(story)], NOON + SECOND)).words)
    assert "the canary was never deployed" in words
    assert "no requests were counted" in words
    assert "The canary was never judged." in words
    assert "The checks have not run." in words
    assert "No decision has been made yet." in words


def test_a_page_without_rollouts_says_so_and_one_without_events_is_refused() -> None:
    """No section is an empty page; a section of nothing is a mistake."""
    assert "No rollout has been started" in page([], NOON)
    story = Story(plan=plan())
    with pytest.raises(ValueError, match="without events"):
        page([Section(state=story.state, events=())], NOON)


def told_by(story: Story) -> str:
    """All words of a story's page."""
    return "|".join(read(page([section(story)], story.now)).words).replace("\xa0", " ")


def test_a_slow_release_is_charted_by_durations() -> None:
    """The quantile of both versions, the slow requests against what is allowed, and every number behind the verdict."""
    words = told_by(slow())
    assert "|latency: p95 of the durations of each version|" in words
    assert "|latency: share of the canary's requests that took longer than 300 ms|" in words
    assert "|+ 30 %|" in words
    assert "|p95 487 ms|over 300 ms|" in words
    assert re.search(r"\|100 %\|e-value 4\d\d of 300\|of the canary 47.4 % of 57 requests take longer", words)
    assert "|tolerance|in effect an increase of 28 % to 32 %, by the buckets there are|" in words
    assert "failed" not in words.split("|What |latency| rests on|")[1].split("|What ")[0]


def test_a_query_and_the_instances_have_no_evidence() -> None:
    """A query has its values and its text, the instances a sentence; the gates are as they are now."""
    words = told_by(hungry())
    assert "|Gates now|Judged at 2026-03-01 12:01:10 UTC, in step 4." in words
    assert re.search(r"\|memory\|at most 512; [^|]*\|~ inconclusive\|6\d\d\.?\d?\|", words)
    assert "|none is weighed|" in words
    assert '|memory_megabytes{version="canary"}\nmemory_megabytes{version="stable"}|' in words
    assert "|instances|✓ healthy|2 of 2 ready, and none has restarted|" in words


def test_restarts_are_told_on_the_page() -> None:
    """How many there were, and how many are borne."""
    assert "|instances|✗ unhealthy|restarted 3 times, and 2 are borne; 1 of 2 ready" in told_by(restarting())


def test_a_latency_gate_without_a_bucket_draws_no_slow_requests() -> None:
    """A line at 0 % would say that none was slow."""
    assert "no bucket was chosen: nothing counts as slow" in told_by(Story(plan=plan(more=(LATENCY,))).run(3))


def test_a_check_is_folded_with_its_output() -> None:
    """A failed check names itself and keeps what it printed."""
    failed = CheckResult(name="home", version="stable", passed=False, detail="got 500", output="line one\nline two")
    story = Story(plan=plan(), checks=(failed,)).run(20)
    words = "|".join(read(page([section(story)], story.now)).words)
    assert "✗ failed| home against stable: got 500|line one\nline two|" in words
    assert "1 of 1 checks failed: home against stable (got 500)" in words


def test_markup_escapes_texts_and_attributes() -> None:
    """The two ways into markup are both closed, and a coordinate that is no number is refused."""
    assert tag("p", text("<&\"'>"), title='"><x>') == ('<p title="&quot;&gt;&lt;x&gt;">&lt;&amp;&quot;&#x27;&gt;</p>')
    with pytest.raises(ValueError, match="finite"):
        tag("line", x1=float("nan"))
