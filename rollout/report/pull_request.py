"""What the pull request, the job summary and the deployment status say of one rollout: the whole texts.

They are functions of a page and nothing else. A comment never passes `LONGEST` characters: history is cut first,
then the log, then the list of commits. Everything that somebody else wrote is escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from rollout.core.language import Language
from rollout.core.state import Phase, State
from rollout.report.advice import ORDERS, advice, approval, next_steps, orders, paused
from rollout.report.brief import annotation, short_status
from rollout.report.gate_table import gates
from rollout.report.happenings import history
from rollout.report.markdown import NOTHING, Markdown, alert, blocks, code, folded, link, table
from rollout.report.mermaid import charts
from rollout.report.page import Links, Page, Shipped, Situation, situation
from rollout.report.phrases import lasting, moment, say, share, told
from rollout.report.sections import (
    canary_log,
    environment,
    failed_checks,
    footer,
    former,
    heading,
    name,
    next_weight,
    progress,
    prospect,
    shipped,
    steps,
    what,
)

__all__ = [
    "LONGEST",
    "Links",
    "Page",
    "Shipped",
    "annotation",
    "approval_comment",
    "feature_comment",
    "finished_comment",
    "help_comment",
    "job_summary",
    "marker",
    "marker_of",
    "paused_comment",
    "reply_comment",
    "rolled_back_comment",
    "short_status",
    "started_comment",
    "status_comment",
]

LONGEST: Final = 60_000
"""Characters of a comment; GitHub refuses more than 65,536."""
_CUTS: Final = (
    (60, 40, 30),
    (30, 40, 30),
    (10, 40, 30),
    (0, 40, 30),
    (0, 20, 30),
    (0, 8, 30),
    (0, 0, 30),
    (0, 0, 12),
    (0, 0, 4),
    (0, 0, 0),
)
"""How many events, lines of the log and commits are shown: the first that fits."""

_Cut = tuple[int, int, int]


def marker(state: State, kind: str) -> str:
    """The first line of a comment, by which it is found again: `<!-- rollout:v1 service=chat … kind=status -->`."""
    plan = state.plan
    parts = {"service": plan.service, "environment": plan.environment, "id": state.rollout, "kind": kind}
    return f"<!-- rollout:v1 {' '.join(f'{key}={_quoted(value)}' for key, value in parts.items())} -->"


def _quoted(value: str) -> str:
    """Without anything that ends a comment: even `--` is not left."""
    return quote(value, safe="", errors="replace").replace("--", "-%2D")


def marker_of(body: str) -> str:
    """The marker that a comment begins with. Raises ValueError where it begins with none."""
    first = body.split("\n", 1)[0]
    if not first.startswith("<!-- rollout:v1 "):
        raise ValueError("the comment does not begin with a marker")
    return first


def status_comment(page: Page) -> str:
    """The one comment that is kept up to date: the whole rollout at a glance."""
    return _fitting(page, "status", lambda cut: _whole(page, cut))


def job_summary(page: Page) -> str:
    """The same for the page of the workflow run."""
    back = page.state.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
    return _fitting(page, "", lambda cut: _rolled_back(page, cut) if back else _whole(page, cut))


def _whole(page: Page, cut: _Cut) -> Markdown:
    events, lines, commits = cut
    back = page.state.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
    return blocks(
        (
            heading(page),
            what(page),
            advice(page),
            progress(page) if not back else NOTHING,
            steps(page),
            prospect(page),
            gates(page),
            drawn(page),
            orders(page),
            canary_log(page, lines) if back else NOTHING,
            shipped(page, commits),
            history(page, events),
            footer(page),
        )
    )


def started_comment(page: Page) -> str:
    """A rollout begins: what, in which steps, until when, and how it is steered."""

    def body(cut: _Cut) -> Markdown:
        title = say(page.language, "started.title", name=name(page), environment=environment(page))
        return blocks(
            (
                Markdown(f"### {title}"),
                what(page),
                steps(page),
                prospect(page),
                say(page.language, "started.promise", stable=former(page)),
                orders(page),
                shipped(page, cut[2], opened=len(page.shipped) <= 10),
                footer(page),
            )
        )

    return _fitting(page, "started", body)


def approval_comment(page: Page) -> str:
    """A person must approve the next step. Each step has a marker of its own."""

    def body(cut: _Cut) -> Markdown:
        title = say(
            page.language,
            "approval.title",
            name=name(page),
            environment=environment(page),
            weight=share(page.language, page.served),
            next=next_weight(page),
        )
        return blocks(
            (
                Markdown(f"### {title}"),
                alert("IMPORTANT", approval(page)),
                steps(page),
                gates(page),
                drawn(page),
                shipped(page, cut[2]),
                footer(page),
            )
        )

    return _fitting(page, f"approval-{page.state.step + 1}", body)


def drawn(page: Page) -> Markdown:
    """The charts, open: a browser may draw a closed one in no size at all."""
    return folded(say(page.language, "charts.title"), *charts(page), opened=True)


def paused_comment(page: Page) -> str:
    """The machine or a person has paused the rollout. Each pause has a marker of its own."""

    def body(cut: _Cut) -> Markdown:
        weight = share(page.language, page.served)
        title = say(page.language, "title.paused", name=name(page), environment=environment(page), weight=weight)
        return blocks(
            (
                Markdown(f"### {title}"),
                alert("WARNING", paused(page)) if page.state.paused else NOTHING,
                steps(page),
                gates(page),
                failed_checks(page),
                canary_log(page, cut[1]),
                shipped(page, cut[2]),
                footer(page),
            )
        )

    return _fitting(page, f"paused-{max(page.pauses, 1)}", body)


def rolled_back_comment(page: Page) -> str:
    """What happened and to how many users, on what evidence, what may have caused it, and what to do."""
    return _fitting(page, "rolled_back", lambda cut: _rolled_back(page, cut))


def _rolled_back(page: Page, cut: _Cut) -> Markdown:
    events, lines, commits = cut
    return blocks(
        (
            heading(page),
            advice(page),
            next_steps(page) if page.state.phase is Phase.ROLLED_BACK else NOTHING,
            gates(page),
            failed_checks(page),
            canary_log(page, lines),
            shipped(page, commits, opened=len(page.shipped) <= 10),
            drawn(page),
            history(page, events),
            footer(page),
        )
    )


def finished_comment(page: Page) -> str:
    """The release serves everybody: how it went, and how long there is a way back."""

    def body(cut: _Cut) -> Markdown:
        return blocks(
            (
                heading(page),
                _took(page),
                prospect(page),
                gates(page),
                drawn(page),
                shipped(page, cut[2]),
                history(page, cut[0]),
                footer(page),
            )
        )

    return _fitting(page, "finished", body)


def _took(page: Page) -> Markdown:
    state = page.state
    ended = state.promoted_at or page.now
    return say(
        page.language,
        "finished.took" if state.stable is not None else "finished.took_first",
        stable=former(page),
        canary=code(state.release.tag),
        span=lasting(page.language, ended - state.started_at),
        at=moment(ended, page.now),
    )


def feature_comment(page: Page) -> str:
    """One line below a marker, for the pull requests whose commits are in the release."""
    language, state = page.language, page.state
    key = {
        Situation.PROMOTED: "feature.promoted",
        Situation.ROLLED_BACK: "feature.rolled_back",
        Situation.ROLLING_BACK: "feature.rolled_back",
    }.get(situation(page), "feature.under_way")
    where = link(say(language, "footer.run"), page.links.report_url or page.links.run_url)
    line = say(
        language,
        key,
        name=name(page),
        environment=environment(page),
        weight=share(language, page.served),
        at=moment(state.promoted_at or state.rolled_back_at or page.now, page.now),
        stable=former(page),
        run=where,
    )
    return f"{marker(state, 'feature')}\n{line}"


def help_comment(language: Language) -> str:
    """Every order, with what it does."""
    rows = ((Markdown(f"`/rollout {order}`"), say(language, f"help.{order}")) for order in ORDERS)
    head = (say(language, "help.order"), say(language, "help.effect"))
    return blocks((say(language, "help.title"), table(head, rows), say(language, "help.fence")))


def reply_comment(said: str, language: Language = Language.EN) -> str:
    """The answer to one order, in words of our own that may name what somebody typed."""
    return alert("NOTE", told(language, said))


def _fitting(page: Page, kind: str, body: Callable[[_Cut], Markdown]) -> str:
    first = f"{marker(page.state, kind)}\n" if kind else ""
    whole = ""
    for cut in _CUTS:
        whole = f"{first}{body(cut)}\n"
        if len(whole) <= LONGEST:
            return whole
    return whole
