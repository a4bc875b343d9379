"""The parts of a page: where the release goes, what comes next and when, what a person must do, what happened.

Each part is a function of the page, and empty where there is nothing to say. Which parts make a comment is decided
in `pull_request`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.core.decisions import Cause
from rollout.core.plan import Step
from rollout.core.schedule import earliest_end
from rollout.core.state import Phase
from rollout.report.markdown import NOTHING, Markdown, blocks, code, fenced, folded, items, link, strong, table, text
from rollout.report.page import Page, Shipped, done, exposure, here, situation
from rollout.report.phrases import lasting, moment, percentage, say, share, told
from rollout.report.words import stamp

_CELLS: Final = 24
_MOST_STEPS: Final = 10
_MOST_RUNS: Final = 12
_SHORT_LOG: Final = 15


def name(page: Page) -> Markdown:
    """The service and its release: chat `v1.4.0`."""
    return Markdown(f"{text(page.state.plan.service, most=60)} {code(page.state.release.tag)}")


def environment(page: Page) -> Markdown:
    """Where it is released."""
    return text(page.state.plan.environment, most=60)


def former(page: Page) -> Markdown:
    """The release that serves users, or served them before."""
    stable = page.state.stable
    return code(stable.tag) if stable is not None else say(page.language, "nothing_before")


def heading(page: Page) -> Markdown:
    """One line: what is the matter, where, and for whom."""
    state = page.state
    return Markdown(
        "### "
        + say(
            page.language,
            f"title.{situation(page)}",
            name=name(page),
            environment=environment(page),
            weight=share(page.language, page.served),
            step=Markdown(str(state.step + 1)),
            steps=Markdown(str(len(state.plan.steps))),
            exposure=exposed(page),
        )
    )


def exposed(page: Page) -> Markdown:
    """To how many users it happened, and for how long."""
    found = exposure(page)
    if found is None:
        return say(page.language, "exposure.none")
    return say(
        page.language,
        "exposure.some",
        weight=share(page.language, found.weight),
        span=lasting(page.language, found.lasted),
    )


def what(page: Page) -> Markdown:
    """What replaces what: both tags, the digest, the commit, since when."""
    state, release = page.state, page.state.release
    commit = (
        link(code(release.commit[:10]), f"{page.links.repository_url}/commit/{release.commit}")
        if release.commit
        else NOTHING
    )
    kind = "replaces" if state.stable is not None else "first"
    parts = (
        say(page.language, f"what.{kind}", stable=former(page), canary=code(release.tag)),
        say(page.language, "what.commit", commit=commit) if commit else NOTHING,
        say(page.language, "what.digest", digest=code(release.digest[7:19])),
        say(page.language, "what.started", at=Markdown(stamp(state.started_at))),
    )
    return Markdown(" · ".join(part for part in parts if part))


def progress(page: Page) -> Markdown:
    """A bar of the soak that is done; a first release does not soak."""
    if page.state.stable is None:
        return NOTHING
    part = done(page)
    full = int(part * _CELLS)
    bar = f"`{'█' * full}{'░' * (_CELLS - full)}`"
    percent = percentage(page.language, f"{int(part * 100)} %")
    return say(page.language, "progress", bar=Markdown(bar), percent=percent)


def steps(page: Page) -> Markdown:
    """Every step with its weight, and below it what was, is and will be done there; a first release has none."""
    plan, language = page.state.plan, page.language
    if page.state.stable is None:
        return NOTHING
    begin = max(0, min(page.state.step - _MOST_STEPS // 2, len(plan.steps) - _MOST_STEPS))
    shown = tuple(enumerate(plan.steps))[begin : begin + _MOST_STEPS]
    current = page.state.step if not page.state.over else -1
    head = [
        strong(share(language, step.weight)) if place == current else share(language, step.weight)
        for place, step in shown
    ]
    row = [_cell(page, place, step) for place, step in shown]
    if begin:
        head, row = [Markdown("…"), *head], [NOTHING, *row]
    if begin + _MOST_STEPS < len(plan.steps):
        head, row = [*head, Markdown("…")], [*row, NOTHING]
    return table(head, [row], centred=True)


def _cell(page: Page, place: int, step: Step) -> Markdown:
    state, language = page.state, page.language
    soak = lasting(language, step.soak)
    if state.phase is Phase.PROMOTED or (place < state.step and state.cause is None):
        return say(language, "step.skipped" if place > state.step else "step.done")
    if state.cause is not None:
        if place < state.step or state.promoted_at is not None:
            return say(language, "step.done")
        begun = state.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK) and bool(state.served)
        return say(language, "step.failed") if place == state.step and begun else NOTHING
    if place == state.step and state.phase is Phase.PROMOTING:
        return say(language, "step.done")
    if place == state.step and state.phase is Phase.STEPPING and state.ordered == step.weight:
        if state.seen_at is None:
            return say(language, "step.moving")
        rested = here(page) >= step.soak
        return say(language, "step.rested" if rested else "step.here", so_far=lasting(language, here(page)), soak=soak)
    return say(language, "step.approve" if step.approve else "step.ahead", soak=soak)


def prospect(page: Page) -> Markdown:
    """What comes next and when, at the earliest."""
    state, language = page.state, page.language
    if state.phase is Phase.PROMOTED:
        return _reserve(page)
    if state.phase is Phase.ROLLED_BACK:
        return NOTHING
    if state.cause is not None:
        return say(language, "next.back", stable=former(page))
    if state.phase is Phase.PROMOTING:
        return say(language, "next.promoting")
    if state.hurried:
        return say(language, "next.hurried", by=text(state.hurried, most=60))
    ends = earliest_end(state, page.now) if state.stable is not None else None
    earliest = (
        say(language, "next.end", at=moment(ends, page.now)) if ends is not None and not state.paused else NOTHING
    )
    return Markdown(_next_step(page) + earliest)


def next_weight(page: Page) -> Markdown:
    """What comes after this step: a weight, or the promotion."""
    state = page.state
    if state.last_step:
        return say(page.language, "the_promotion")
    return share(page.language, state.plan.steps[state.step + 1].weight)


def _next_step(page: Page) -> Markdown:
    state, language = page.state, page.language
    if state.stable is None:
        return say(language, "next.first_release")
    if state.phase is not Phase.STEPPING or state.ordered != state.current.weight:
        return say(language, "next.first", weight=share(language, state.current.weight))
    after = next_weight(page)
    if state.paused:
        return say(language, "next.resumed", next=after)
    soaked_at, shortened_at = state.soaked_at, state.shortened_at
    if soaked_at is None or shortened_at is None:
        return say(language, "next.seen", weight=share(language, state.ordered), next=after)
    approval = say(language, "next.approval") if state.current.approve and not state.approved else NOTHING
    if page.now >= soaked_at:
        return say(language, "next.due", next=after, approval=approval)
    at = moment(soaked_at, page.now)
    if shortened_at < soaked_at:
        early = moment(max(shortened_at, page.now), page.now)
        return say(language, "next.evidence", next=after, at=at, early=early, approval=approval)
    return say(language, "next.at", next=after, at=at, approval=approval)


def _reserve(page: Page) -> Markdown:
    state, language = page.state, page.language
    if state.stable is None or state.promoted_at is None:
        return NOTHING
    if state.discarded:
        return say(language, "next.discarded", stable=former(page))
    until = state.promoted_at + state.plan.keep
    return say(language, "next.reserve", stable=former(page), at=moment(until, page.now))


def why(page: Page) -> Markdown:
    """Why the rollout goes or went back: the cause in bold, and below it the evidence, clause by clause."""
    state, language = page.state, page.language
    if state.cause is None:
        return say(language, "cause.unknown")
    cause = say(language, f"cause.{state.cause}")
    condemning = next((one for one in page.gates if state.because == f"{one.gate}: {one.sentence}"), None)
    if condemning is not None:
        named = say(language, "cause.gate", cause=cause, gate=text(condemning.gate, most=60))
        return Markdown(f"{strong(named)}\n{items(told(language, one) for one in condemning.sentence.split('; '))}")
    if not state.because:
        return strong(cause)
    if state.cause in (Cause.ORDERED, Cause.CHECKS_FAILED):
        return strong(told(language, state.because))
    return Markdown(f"{strong(cause)}{say(language, 'colon')}{told(language, state.because)}")


def counted_users(page: Page) -> Markdown:
    """The requests that the canary answered and failed; nothing where none were counted."""
    found = exposure(page)
    if found is None or not found.requests:
        return NOTHING
    return say(
        page.language,
        "exposure.requests",
        requests=Markdown(f"{found.requests:,}"),
        failures=Markdown(f"{found.failures:,}"),
    )


def failed_checks(page: Page) -> Markdown:
    """Each check that did not pass, with what it printed."""
    checked = page.state.checked
    if checked is None or checked.passed:
        return NOTHING
    failed = [result for result in checked.results if not result.passed][:5]
    found = []
    for one in failed:
        version = say(page.language, one.version)
        line = say(
            page.language, "check.failed", check=text(one.name, most=100), version=version, detail=text(one.detail)
        )
        found.append(blocks((line, fenced(_clipped(one.output.splitlines()[-15:])))))
    return blocks(found)


def canary_log(page: Page, most: int) -> Markdown:
    """The last lines of the canary's log, folded where they are many."""
    shown = page.canary_log[-most:] if most else ()
    count = Markdown(str(len(shown)))
    return folded(
        say(page.language, "log.title", count=count), fenced(_clipped(shown)), opened=len(shown) <= _SHORT_LOG
    )


def _clipped(lines: tuple[str, ...] | list[str]) -> Iterator[str]:
    for line in lines:
        yield line if len(line) <= 400 else f"{line[:399]}…"


def shipped(page: Page, most: int, *, opened: bool = False) -> Markdown:
    """The commits between both releases, with their pull requests and authors, folded."""
    if not page.shipped or not most:
        return NOTHING
    language, more = page.language, len(page.shipped) - most
    head = tuple(say(language, f"shipped.{part}") for part in ("what", "pull", "author", "commit"))
    whole = table(head, (_shipped(page, one) for one in page.shipped[:most]))
    left = say(language, "shipped.more", count=Markdown(str(more))) if more > 0 else NOTHING
    kind = "title" if page.state.stable is not None else "all"
    title = say(language, f"shipped.{kind}", count=Markdown(str(len(page.shipped))), stable=former(page))
    return folded(title, whole, left, opened=opened)


def _shipped(page: Page, one: Shipped) -> tuple[Markdown, ...]:
    repository = page.links.repository_url
    pull = link(Markdown(f"#{one.pull}"), f"{repository}/pull/{one.pull}") if one.pull is not None else Markdown("–")
    commit = link(code(one.sha[:10]), f"{repository}/commit/{one.sha}")
    return (text(one.title, most=120), pull, text(one.author, most=60), commit)


def footer(page: Page) -> Markdown:
    """Which rollout this is, as of when, and where to read on."""
    language, links = page.language, page.links
    runs = [one for one in page.runs if one != links.run_url][-_MOST_RUNS:]
    earlier = Markdown(", ".join(link(Markdown(str(place)), url) for place, url in enumerate(runs, start=1)))
    parts = [
        say(language, "footer.rollout", rollout=code(page.state.rollout, most=120)),
        say(language, "footer.updated", at=Markdown(stamp(page.now))),
        *(link(say(language, f"footer.{key}"), url) for key, url in _addresses(page) if url),
    ]
    if earlier:
        parts.append(say(language, "footer.runs", runs=earlier))
    return Markdown(f"<sub>{' · '.join(parts)}</sub>")


def _addresses(page: Page) -> tuple[tuple[str, str], ...]:
    links = page.links
    return (("run", links.run_url), ("report", links.report_url), ("environment", links.environment_url))
