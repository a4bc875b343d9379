"""One line of plain text about a rollout: for deployment statuses and for the annotation of a job.

Plain text has no markup and no line break; whoever puts it into a workflow command escapes it for that.
"""

from __future__ import annotations

from typing import Final, Literal

from rollout.core.verdict import Verdict
from rollout.report.markdown import clipped
from rollout.report.page import Page, Situation, situation
from rollout.report.phrases import moment, plain, share, translated
from rollout.report.sections import exposed, next_weight
from rollout.report.words import because_words

LONGEST_STATUS: Final = 140
"""Characters of the description of a deployment status; GitHub refuses more."""
LONGEST_ANNOTATION: Final = 600


def short_status(page: Page) -> str:
    """At most 140 characters of plain text, for the description of a deployment status."""
    return clipped(_short(page, "short"), LONGEST_STATUS)


def annotation(page: Page) -> str:
    """One plain sentence, without a line break: why the job is red, or what the rollout waits for."""
    return clipped(_short(page, "why"), LONGEST_ANNOTATION)


def _short(page: Page, table_of: Literal["short", "why"]) -> str:
    state, language, judged = page.state, page.language, page.judged
    soaked_at = state.soaked_at
    verdict = plain(language, f"word.{judged.verdict if judged is not None else Verdict.INCONCLUSIVE}")
    cause = plain(language, f"cause.{state.cause}" if state.cause is not None else "cause.unknown")
    return plain(
        language,
        f"{table_of}.{_key(page, table_of)}",
        service=state.plan.service,
        environment=state.plan.environment,
        tag=state.release.tag,
        stable=state.stable.tag if state.stable is not None else plain(language, "nothing_before"),
        weight=share(language, page.served),
        step=str(state.step + 1),
        steps=str(len(state.plan.steps)),
        verdict=verdict,
        next=next_weight(page) if not state.over else "",
        at=moment(max(soaked_at, page.now), page.now) if soaked_at is not None else "–",
        paused=translated(language, state.paused),
        cause=cause[:1].lower() + cause[1:],
        because=translated(language, because_words(state.cause, state.because)),
        reason=translated(language, judged.reason) if judged is not None else "",
        exposure=exposed(page),
        signal=state.interrupted,
    )


def _key(page: Page, table_of: Literal["short", "why"]) -> str:
    """Which phrase of the table it is: that of the situation, but for what is worth a phrase of its own."""
    here = situation(page)
    if table_of == "why" and page.state.interrupted and not page.state.over:
        return "interrupted"
    if table_of == "short" and here is Situation.SOAKING and page.state.soaked_at is None:
        return "moving"
    return here
