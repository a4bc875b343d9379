"""A message about a rollout, in the reader's language: its title, its labels and what to do.

Every channel says the same words; how they look is each channel's own. Nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, assert_never

from rollout.core.decisions import Cause
from rollout.core.language import Language
from rollout.core.plan import Weight
from rollout.core.state import State
from rollout.core.verdict import Judgement
from rollout.notify import evidence
from rollout.notify.evidence import Translate
from rollout.notify.message import Message, Reason, one_line, web_address


class Need(StrEnum):
    """What a person is needed for."""

    APPROVAL = "approval"
    PAUSED = "paused"
    STUCK = "stuck"
    """Traffic cannot be brought back to stable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """For whom a message is written."""

    language: Language = Language.EN
    translate: Translate = str
    """Brings the English sentences of the machine and the judge into the language."""


MORE: Final = {Language.EN: "Show the rollout", Language.ZH: "查看发布详情"}
"""What the link is called."""

_LABELS: Final = {
    Language.EN: ("Service", "Environment", "Release", "Step", "Gate", "Time", "Why", "What to do"),
    Language.ZH: ("服务", "环境", "版本", "步骤", "门禁", "时间", "依据", "如何处理"),
}


def message_of(
    state: State,
    reason: Reason,
    *,
    at: datetime,
    reader: Reader,
    need: Need | None = None,
    judgement: Judgement | None = None,
    link: str = "",
) -> Message:
    """What is told of a state at a moment. `need` is given with NEEDS_A_PERSON, and with nothing else.

    `judgement` is the newest verdict where the caller has one; else the last one of the journal counts.
    """
    language = reader.language
    judged = judgement or state.judgement
    deciding = evidence.decisive(judged) if _rests_on_a_gate(state, reason, need) else None
    why = _why(state, reason, need, judged, at=at, reader=reader)
    return Message(
        reason=reason,
        language=language,
        at=at,
        title=one_line(_title(state, reason, need, language), most=150),
        evidence=one_line(why[:1].upper() + why[1:]),
        advice=one_line(_advice(state, reason, need, language)),
        rollout=state.rollout,
        service=state.plan.service,
        environment=state.plan.environment,
        release=state.release.tag,
        stable=state.stable.tag if state.stable is not None else "",
        step=state.step + 1,
        steps=len(state.plan.steps),
        weight=state.current.weight.percent,
        gate=one_line(deciding.gate, most=200) if deciding is not None else "",
        link=web_address(link),
    )


def _rests_on_a_gate(state: State, reason: Reason, need: Need | None) -> bool:
    match reason:
        case Reason.ROLLED_BACK:
            return state.cause in (Cause.UNHEALTHY, Cause.BLIND, Cause.RESTARTED, Cause.UNREADY)
        case Reason.NEEDS_A_PERSON:
            return need is Need.PAUSED
        case Reason.BLIND:
            return True
        case Reason.STARTED | Reason.PROMOTED:
            return False
        case _:
            assert_never(reason)


def labelled(message: Message) -> tuple[tuple[str, str], ...]:
    """The facts of a message with their labels, those that are empty left out."""
    service, environment, release, step, gate, time, *_ = _LABELS[message.language]
    facts = (
        (service, message.service),
        (environment, message.environment),
        (release, _releases(message)),
        (step, _step(message)),
        (gate, message.gate),
        (time, f"{message.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
    )
    return tuple((label, value) for label, value in facts if value)


def labels_of_text(language: Language) -> tuple[str, str]:
    """The labels of the evidence and of the advice."""
    *_, why, advice = _LABELS[language]
    return why, advice


def _releases(message: Message) -> str:
    match message.language:
        case Language.EN:
            return f"{message.release} (before: {message.stable})" if message.stable else message.release
        case Language.ZH:
            return f"{message.release}（此前：{message.stable}）" if message.stable else message.release
        case _:
            assert_never(message.language)


def _step(message: Message) -> str:
    match message.language:
        case Language.EN:
            return f"{message.step} of {message.steps} ({message.weight:g} %)"
        case Language.ZH:
            return f"第 {message.step} 步，共 {message.steps} 步（{message.weight:g}%）"
        case _:
            assert_never(message.language)


def _title(state: State, reason: Reason, need: Need | None, language: Language) -> str:
    plan, new = state.plan, state.release.tag
    old = state.stable.tag if state.stable is not None else ""
    match language:
        case Language.EN:
            return f"{_english(state, reason, need, new, old)} ({plan.service}, {plan.environment})"
        case Language.ZH:
            return f"{_chinese(state, reason, need, new, old)}（{plan.service}，{plan.environment}）"
        case _:
            assert_never(language)


def _english(state: State, reason: Reason, need: Need | None, new: str, old: str) -> str:
    match reason:
        case Reason.STARTED:
            return f"▶ Started: {new} is to replace {old}" if old else f"▶ Started: {new}, the first release"
        case Reason.NEEDS_A_PERSON:
            match need:
                case Need.APPROVAL:
                    return f"! Approval needed: {new} has soaked at {state.current.weight}"
                case Need.STUCK:
                    return f"! Person needed: {new} cannot be rolled back"
                case Need.PAUSED | None:
                    return f"! Person needed: {new} is paused at {state.ordered}"
                case _:
                    assert_never(need)
        case Reason.BLIND:
            return f"? Blind: nobody judges {new} at {state.ordered}"
        case Reason.ROLLED_BACK:
            return f"✗ Rolled back: {new}, to {old}" if old else f"✗ Rolled back: {new}, to nothing"
        case Reason.PROMOTED:
            return f"✓ Promoted: {new} has replaced {old}" if old else f"✓ Promoted: {new}"
        case _:
            assert_never(reason)


def _chinese(state: State, reason: Reason, need: Need | None, new: str, old: str) -> str:
    match reason:
        case Reason.STARTED:
            return f"▶ 开始发布：{new} 将取代 {old}" if old else f"▶ 开始发布：{new}，首个版本"
        case Reason.NEEDS_A_PERSON:
            match need:
                case Need.APPROVAL:
                    return f"! 等待批准：{new} 已在 {_zh(state.current.weight)} 观察完毕"
                case Need.STUCK:
                    return f"! 需要人工处理：{new} 无法回滚"
                case Need.PAUSED | None:
                    return f"! 需要人工处理：{new} 暂停在 {_zh(state.ordered)}"
                case _:
                    assert_never(need)
        case Reason.BLIND:
            return f"? 指标中断：{new} 在 {_zh(state.ordered)} 时无法判断"
        case Reason.ROLLED_BACK:
            return f"✗ 已回滚：{new}，切回 {old}" if old else f"✗ 已回滚：{new}，此前没有版本"
        case Reason.PROMOTED:
            return f"✓ 全量发布：{new} 已取代 {old}" if old else f"✓ 全量发布：{new}"
        case _:
            assert_never(reason)


def _zh(weight: Weight) -> str:
    """A weight as Chinese text has it."""
    return f"{weight.percent:g}%"


def _why(
    state: State,
    reason: Reason,
    need: Need | None,
    judged: Judgement | None,
    *,
    at: datetime,
    reader: Reader,
) -> str:
    language, translate = reader.language, reader.translate
    match reason:
        case Reason.STARTED:
            return evidence.of_start(state, language)
        case Reason.NEEDS_A_PERSON:
            match need:
                case Need.APPROVAL:
                    return evidence.of_approval(state, language)
                case Need.STUCK:
                    return evidence.of_stuck_rollback(state, language, translate)
                case Need.PAUSED | None:
                    return evidence.of_pause(state, language, translate)
                case _:
                    assert_never(need)
        case Reason.BLIND:
            return evidence.of_blindness(state, judged, at, language, translate)
        case Reason.ROLLED_BACK:
            return evidence.of_rollback(state, language, translate)
        case Reason.PROMOTED:
            return evidence.of_promotion(state, language)
        case _:
            assert_never(reason)


def _advice(state: State, reason: Reason, need: Need | None, language: Language) -> str:
    english, chinese = _advices(state, reason, need)
    match language:
        case Language.EN:
            return english
        case Language.ZH:
            return chinese
        case _:
            assert_never(language)


def _advices(state: State, reason: Reason, need: Need | None) -> tuple[str, str]:
    old = state.stable.tag if state.stable is not None else ""
    match reason:
        case Reason.STARTED:
            return "", ""
        case Reason.NEEDS_A_PERSON:
            return _needed(need)
        case Reason.BLIND:
            return (
                "Bring the metrics back, or order `rollout abort`, which goes back to stable at once.",
                "请恢复指标，或下令 `rollout abort` 立即切回稳定版。",
            )
        case Reason.ROLLED_BACK:
            return (
                "Users are on the former release. Mend the cause and release a new tag.",
                "用户已切回此前的版本。请修复原因后用新标签重新发布。",
            )
        case Reason.PROMOTED:
            if not old:
                return "", ""
            until = f"{state.promoted_at + state.plan.keep:%Y-%m-%d %H:%M} UTC" if state.promoted_at is not None else ""
            return (
                f"The way back to {old}: `rollout abort`" + (f", until {until}." if until else "."),
                f"如需切回 {old}：`rollout abort`" + (f"，{until} 之前有效。" if until else "。"),
            )
        case _:
            assert_never(reason)


def _needed(need: Need | None) -> tuple[str, str]:
    match need:
        case Need.APPROVAL:
            return _orders("approve")
        case Need.STUCK:
            return (
                "Look at the gateway now: users may still be on the canary.",
                "请立即检查网关：用户可能仍在使用金丝雀。",
            )
        case Need.PAUSED | None:
            return _orders("resume")
        case _:
            assert_never(need)


def _orders(forward: str) -> tuple[str, str]:
    """What lets the rollout go on, and what ends it: on the command line and on the pull request."""
    return (
        f"Order `rollout {forward}` or `rollout abort`; on the pull request: `/rollout {forward}` or `/rollout abort`.",
        f"请下令 `rollout {forward}` 或 `rollout abort`；在 PR 中评论 `/rollout {forward}` 或 `/rollout abort`。",
    )
