"""What a person should do now: the block of a page that must not be overlooked, and the orders that make sense.

It promises nothing that the machine does not do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from rollout.core.decisions import Cause
from rollout.core.instances import unready_until
from rollout.core.plan import NOTHING as NO_TRAFFIC
from rollout.core.plan import OnBlind
from rollout.core.state import Phase
from rollout.report.markdown import NOTHING, Markdown, alert, blocks, code, items, link, text
from rollout.report.page import Page, Situation, situation
from rollout.report.phrases import lasting, moment, say, share, told
from rollout.report.sections import counted_users, former, next_weight, why
from rollout.report.summary import commands

ORDERS = ("status", "approve", "pause", "resume", "promote", "abort", "help")
"""Every word after `/rollout`, in the order of the help."""


def advice(page: Page) -> Markdown:
    """The coloured blocks: at most one for the situation, and one for what is wrong beside it."""
    return blocks((_situation(page), _beside(page)))


def _situation(page: Page) -> Markdown:
    language = page.language
    here = situation(page)
    match here:
        case Situation.APPROVAL:
            return alert("IMPORTANT", approval(page))
        case Situation.PAUSED:
            return alert("WARNING", paused(page))
        case Situation.BLIND:
            return alert("WARNING", _blind(page))
        case Situation.LENGTHENED:
            judged = page.judged
            reason = told(language, judged.reason) if judged is not None else NOTHING
            return alert("NOTE", say(language, "need.lengthened", reason=reason))
        case Situation.ROLLING_BACK | Situation.ROLLED_BACK:
            return alert("CAUTION", why(page), counted_users(page), _serving(page))
        case Situation.PROMOTED:
            return NOTHING
        case Situation.DEPLOYING | Situation.CHECKING | Situation.SOAKING | Situation.PROMOTING:
            return NOTHING
        case _:
            assert_never(here)


def _serving(page: Page) -> Markdown:
    """Who serves users since the rollback."""
    state, language = page.state, page.language
    if state.stable is None:
        return say(language, "serving.nothing")
    if state.rolled_back_at is None:
        return say(language, "serving.soon", stable=former(page))
    return say(language, "serving.again", stable=former(page), at=moment(state.rolled_back_at, page.now))


def approval(page: Page) -> Markdown:
    """What is to be approved, and how; and by whom, where not everybody who may write may do it."""
    asked = say(
        page.language,
        "need.approval",
        next=next_weight(page),
        soak=lasting(page.language, page.state.current.soak),
        stable=former(page),
    )
    if not page.approvers:
        return asked
    names = Markdown(", ".join(code(login) for login in page.approvers))
    return Markdown(f"{asked}<br>{say(page.language, 'need.approvers', names=names)}")


def paused(page: Page) -> Markdown:
    """Why the rollout is paused, and how it goes on."""
    because = told(page.language, page.state.paused)
    return say(page.language, "need.paused", because=because, stable=former(page))


def _blind(page: Page) -> Markdown:
    state, language = page.state, page.language
    since = state.blind_since or page.now
    lost = lasting(language, page.now - since)
    reason = told(language, page.judged.reason) if page.judged is not None else NOTHING
    if state.ordered == NO_TRAFFIC or state.plan.on_blind is OnBlind.HOLD:
        return say(language, "need.blind_held", span=lost, reason=reason)
    due = moment(since + state.plan.blind_budget, page.now)
    return say(language, "need.blind", span=lost, reason=reason, at=due, stable=former(page))


def _beside(page: Page) -> Markdown:
    """What is wrong beside the situation itself."""
    return alert("WARNING", Markdown("<br>".join(_troubles(page))))


def _troubles(page: Page) -> Iterator[Markdown]:
    state, language = page.state, page.language
    if state.abort and not state.over and state.cause is None:
        yield say(language, "need.abort", by=text(state.abort, most=60))
    if state.drift is not None and not state.over:
        yield say(language, "need.drift", seen=share(language, state.drift), expected=share(language, state.ordered))
    if state.failure and state.pending is not None:
        yield say(
            language,
            "need.failure",
            action=say(language, f"action.{state.pending.kind}"),
            tries=Markdown(str(max(state.tries, 1))),
            failure=told(language, state.failure),
        )
    if state.unready_since is not None and state.instances is not None and state.phase is Phase.STEPPING:
        yield _unready(page, *state.instances)
    if state.interrupted and not state.over:
        yield say(language, "need.interrupted", signal=code(state.interrupted))


def _unready(page: Page, ready: int, wanted: int) -> Markdown:
    state, language = page.state, page.language
    since = state.unready_since or page.now
    values = {
        "ready": Markdown(str(ready)),
        "wanted": Markdown(str(wanted)),
        "span": lasting(language, page.now - since),
    }
    due = unready_until(state, since)
    if due is None:
        return say(language, "need.unready", **values)
    return say(language, "need.unready_until", **values, at=moment(due, page.now))


def orders(page: Page) -> Markdown:
    """The comments that steer the rollout now, each with what it does."""
    state, language = page.state, page.language
    if state.phase is Phase.PROMOTED:
        known: tuple[str, ...] = ("abort",) if state.stable is not None and not state.discarded else ()
    else:
        known = commands(state)
    if not known:
        return NOTHING
    listed = Markdown(
        " · ".join(f"`/rollout {order}` {say(language, f'brief.{_brief(page, order)}')}" for order in known)
    )
    return say(language, "orders", listed=listed)


def _brief(page: Page, order: str) -> str:
    return "abort_promoted" if order == "abort" and page.state.phase is Phase.PROMOTED else order


def next_steps(page: Page) -> Markdown:
    """What to do after a rollback, by its cause."""
    state, language, links = page.state, page.language, page.links
    cause = state.cause or Cause.ORDERED
    first = say(language, f"do.{cause}")
    run = link(say(language, "footer.run"), links.run_url)
    rest = (
        say(language, "do.fix"),
        say(language, "do.again", tag=code(state.release.tag), run=run),
    )
    title = say(language, "do.title")
    return blocks((title, items((first, *rest), numbered=True)))
