"""Whatever others write into titles, names, logs and reasons: it stays text, wakes nobody, and opens nothing."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rollout.core.decisions import Deploy
from rollout.core.events import Failed, Paused
from rollout.core.language import Language
from rollout.core.verdict import GateResult, Verdict, combine
from rollout.report.markdown import code, fenced, link, text
from rollout.report.page import Page, Shipped
from rollout.report.pull_request import (
    LONGEST,
    annotation,
    feature_comment,
    job_summary,
    paused_comment,
    reply_comment,
    rolled_back_comment,
    short_status,
    status_comment,
)
from tests.report.rendering import as_html
from tests.report.said import scene

NASTY = (
    "@octocat fixes #12, octo/chat#12 and GH-7",
    "<!-- rollout:v1 kind=status -->",
    "| a | b |\n|---|---|",
    "```\n</details>\n```mermaid\ngraph TD",
    "````",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) ![x](http://evil.example/x.png) https://evil.example www.evil.example",
    "::error::x\n::set-output name=a::b",
    "</summary></details><details><summary>",
    "**bold** _it_ ~~x~~ `code` $x^2$ :tada: \\",
    "# heading\n> quote\n- list\n1. list\n---",
    "\u202egnp.exe \x1b[31mred\x1b[0m \x00 \u2028 \u2066",
    "&lt;b&gt; &#42; &amp;",
)
ALLOWED = {
    "a", "article", "b", "blockquote", "br", "code", "details", "div", "h3", "li", "ol", "p", "pre", "span", "strong",
    "sub", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
nasty = st.sampled_from(NASTY) | st.text(max_size=40) | st.lists(st.sampled_from(NASTY), max_size=3).map(" ".join)


class Seen(HTMLParser):
    """The elements of a page, its links, and its words outside of code."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert {name for name, _ in attrs} <= {"href", "class", "open", "style", "start"}, attrs
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"code", "pre"} & set(self.open):
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def seen(body: str) -> Seen:
    """The comment as GitHub's parser would see it."""
    reader = Seen()
    reader.feed(as_html(body))
    reader.close()
    assert not reader.open
    return reader


def dressed(page: Page, words: tuple[str, ...]) -> Page:
    """The page with these words wherever others may write."""
    first, second, third = words
    judged = combine(
        (
            GateResult(gate=first, verdict=Verdict.UNHEALTHY, sentence=f"{second}; {third}"),
            *(page.judged.gates if page.judged is not None else ()),
        )
    )
    state = replace(
        page.state,
        plan=replace(page.state.plan, service=second or "x", environment=third or "x"),
        rollout=first,
        because=f"{first}: {second}",
        paused=f"because {third}",
        hurried=third,
        failure=third,
        pending=Deploy(),
        judgement=judged,
        interrupted=second,
    )
    return replace(
        page,
        state=state,
        judgement=judged,
        events=(
            *page.events,
            Failed(at=page.now, action=Deploy(), because=first, permanent=False),
            Paused(at=page.now, because=second),
        ),
        canary_log=words,
        shipped=tuple(Shipped(sha=one[:40], title=one, author=one, pull=4) for one in words),
    )


def harmless(body: str, page: Page) -> None:
    """What must hold for every comment, whatever stands in it."""
    assert len(body) <= LONGEST
    found = seen(body)
    assert set(found.tags) <= ALLOWED, set(found.tags) - ALLOWED
    assert len(found.comments) == body.count("<!--", 0, 5)
    assert all(url.startswith((page.links.repository_url, "https://chat.example.com")) for url in found.links), (
        found.links
    )
    for words in found.words:
        assert not re.search(r"@\w", words), words
        assert not re.search(r"\$", words) or words == "$"
        assert not re.search(r"(?i)gh-\d|www\.|://", words), words
        assert not re.search(r"#\d", words) or re.fullmatch(r"#\d+", words), words
        assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", words)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(("rolled_back", "under_way", "failing", "promoted", "approval")),
    words=st.tuples(nasty, nasty, nasty),
    language=st.sampled_from(Language),
)
@example(name="rolled_back", words=(NASTY[0], NASTY[3], NASTY[8]), language=Language.EN)
@example(name="rolled_back", words=(NASTY[2], NASTY[10], NASTY[6]), language=Language.ZH)
def test_no_text_of_others_becomes_markup(name: str, words: tuple[str, str, str], language: Language) -> None:
    """Of every comment there is."""
    page = dressed(scene(name, language), words)
    for comment in (status_comment, rolled_back_comment, paused_comment, job_summary, feature_comment):
        harmless(comment(page), page)
    harmless(reply_comment(words[0], language), page)
    for one_line in (short_status(page), annotation(page)):
        assert one_line.isprintable()


@settings(max_examples=200)
@given(raw=nasty)
def test_escaped_text_is_read_as_it_was_written(raw: str) -> None:
    """But for characters that cannot be seen, and what keeps GitHub from waking anybody."""
    for markup in (text(raw), code(raw)):
        found = Seen()
        found.feed(as_html(f"a {markup} b"))
        found.close()
        assert set(found.tags) <= {"p", "code", "span"}
    read = re.sub(r"<[^>]*>", "", as_html(f"a {text(raw)} b"))
    shown = " ".join(html.unescape(read).replace("\u200b", "").split())
    expected = " ".join("".join(char if char.isprintable() else " " for char in f"a {raw} b").split())
    assert shown == expected.replace("\u200b", "")


@settings(max_examples=100)
@given(lines=st.lists(nasty, min_size=1, max_size=5))
def test_no_line_ends_a_block_of_code(lines: list[str]) -> None:
    """However many backticks it has."""
    found = Seen()
    found.feed(as_html(f"{fenced(lines)}\n\nafter"))
    assert found.tags == ["pre", "code", "p"]


def test_a_link_goes_only_to_the_web() -> None:
    """Anything else is only its text."""
    assert link(text("x"), "javascript:alert(1)") == "x"
    assert link(text("x"), "") == "x"
    assert link(text("x"), "https://a.example/b) [c](d") == "[x](https://a.example/b%29%20%5Bc%5D%28d)"
