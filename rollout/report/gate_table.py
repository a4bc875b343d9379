"""What each gate found, canary against stable, the worst first: the table that a person decides by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout.core.language import Language
from rollout.core.verdict import GateResult, Judgement, Verdict
from rollout.report.markdown import NOTHING, Markdown, blocks, items, table, text, unbroken
from rollout.report.measures import brief_limit, canary_figures, counted, stable_figures, weighed
from rollout.report.page import Page
from rollout.report.phrases import percentage, say, told, translated
from rollout.report.words import evidence_words

MOST_GATES: Final = 30
_SHORT: Final = 24
_COLUMNS: Final = ("gate", "verdict", "canary", "stable", "allowed", "evidence")
_WORST_FIRST: Final = (Verdict.UNHEALTHY, Verdict.BLIND, Verdict.INCONCLUSIVE, Verdict.HEALTHY)


def gates(page: Page) -> Markdown:
    """The verdict over all gates in one line, the table, and why a gate is not healthy."""
    judged, language = page.judged, page.language
    if judged is None:
        return say(language, "gates.none") if page.state.plan.gates and page.state.cause is None else NOTHING
    shown = sorted(judged.gates, key=lambda one: _WORST_FIRST.index(one.verdict))
    more = len(shown) - MOST_GATES
    rows = [_row(page, one) for one in shown[:MOST_GATES]]
    head = tuple(say(language, f"gates.{column}") for column in _COLUMNS)
    left = say(language, "gates.more", count=Markdown(str(more))) if more > 0 else NOTHING
    reasons = items(_why(shown[:MOST_GATES], page))
    return blocks((_headline(judged, language), table(head, rows), reasons, left))


def _headline(judged: Judgement, language: Language) -> Markdown:
    counts = {verdict: sum(one.verdict is verdict for one in judged.gates) for verdict in _WORST_FIRST}
    listed = [
        say(language, f"gates.count.{verdict}", count=Markdown(str(counts[verdict])))
        for verdict in _WORST_FIRST
        if counts[verdict]
    ]
    return say(language, "gates.headline", counts=Markdown(say(language, "comma").join(listed)))


def _row(page: Page, result: GateResult) -> tuple[Markdown, ...]:
    language = page.language
    gate = next((one for one in page.state.plan.gates if one.name == result.gate), None)
    verdict = verdict_words(result.verdict, language)
    if result.observe:
        verdict = say(language, "gates.observed", verdict=verdict)
    name = text(result.gate, most=60)
    name = unbroken(name) if len(result.gate) <= _SHORT else name
    verdict = unbroken(verdict)
    if not counted(result):
        said = told(language, result.sentence) if result.verdict is Verdict.HEALTHY else NOTHING
        return (name, verdict, said, NOTHING, NOTHING, NOTHING)
    measured = (canary_figures(result, gate).value, stable_figures(result, gate).value, brief_limit(gate))
    figures = (unbroken(text(translated(language, words))) for words in measured)
    evidence = percentage(language, evidence_words(result)) if weighed(result) else Markdown("–")
    return (name, verdict, *figures, unbroken(evidence))


def verdict_words(verdict: Verdict, language: Language) -> Markdown:
    """The icon and the word: `✅ healthy`."""
    return say(language, f"verdict.{verdict}")


def _why(results: list[GateResult], page: Page) -> Iterator[Markdown]:
    """Why a gate is not healthy, but for what the page says as its cause already."""
    for one in results:
        if one.verdict is Verdict.HEALTHY or not one.sentence:
            continue
        if page.state.because.endswith(one.sentence):
            continue
        yield say(page.language, "gates.why", gate=text(one.gate, most=60), sentence=told(page.language, one.sentence))
