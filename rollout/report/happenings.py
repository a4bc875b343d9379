"""What happened, for a reader of the comment: the newest first, and without what goes without saying.

The journal holds everything; nothing is decided by what is shown here.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout.core.decisions import RollBack
from rollout.core.events import Event, Intended, Judged, Moved, WeightSeen
from rollout.core.language import Language
from rollout.core.state import State
from rollout.core.verdict import Verdict
from rollout.report.lines import sentence
from rollout.report.markdown import Markdown, folded, items, text
from rollout.report.page import Page
from rollout.report.phrases import say, translated
from rollout.report.words import clock


def history(page: Page, most: int) -> Markdown:
    """The telling events as a folded list of at most so many, with the number of those that are left out."""
    found = telling(page.events)
    shown = found[::-1][:most]
    language, more = page.language, len(found) - len(shown)
    left = say(language, "history.more", count=Markdown(str(more))) if more else Markdown("")
    if not shown:
        return left
    lines = items(_happened(event, page.state, language) for event in shown)
    return folded(say(language, "history.title", count=Markdown(str(len(found)))), lines, left)


def telling(events: Sequence[Event]) -> tuple[Event, ...]:
    """Without intentions, as their outcomes follow, and without verdicts that nobody would ask about.

    Those are the first look at a step, which never has requests enough, and health where nothing else was said before.
    """
    found: list[Event] = []
    seen: WeightSeen | None = None
    healthy = True
    for event in events:
        match event:
            case Intended(action=action) if not isinstance(action, RollBack):
                continue
            case Moved():
                continue
            case WeightSeen():
                seen = event
            case Judged(at=at, judgement=judgement):
                first = seen is not None and seen.at == at and judgement.verdict is Verdict.INCONCLUSIVE
                if first or (healthy and judgement.verdict is Verdict.HEALTHY):
                    continue
                healthy = judgement.verdict is Verdict.HEALTHY
            case _:
                pass
        found.append(event)
    return tuple(found)


def _happened(event: Event, state: State, language: Language) -> Markdown:
    return Markdown(f"`{clock(event.at)}` {text(translated(language, sentence(event, state.plan)), most=400)}")
