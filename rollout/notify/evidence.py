"""Why, in one sentence of the reader's language: what the machine wrote down, and what follows from it.

What the machine, the judge or a server said is English; `translate` brings it into the reader's language, as far as it
can. Nothing here draws conclusions of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, assert_never

from rollout.core.decisions import Cause
from rollout.core.duration import format_duration
from rollout.core.language import Language
from rollout.core.plan import NOTHING, OnBlind
from rollout.core.state import State
from rollout.core.verdict import GateResult, Judgement, Verdict

Translate = Callable[[str], str]

_CAUSES: Final[dict[Cause, tuple[str, str]]] = {
    Cause.UNHEALTHY: ("the canary is unhealthy", "金丝雀不健康"),
    Cause.BLIND: ("monitoring stayed away", "监控持续中断"),
    Cause.ORDERED: ("a person ordered it", "人工下令"),
    Cause.DEPLOY_FAILED: ("the canary could not be deployed", "金丝雀部署失败"),
    Cause.CHECKS_FAILED: ("the checks failed", "检查未通过"),
    Cause.CANARY_DIED: ("the canary died", "金丝雀已退出"),
    Cause.WRONG_IMAGE: ("the canary runs another image", "金丝雀运行的是另一个镜像"),
    Cause.RESTARTED: ("the canary restarts again and again", "金丝雀反复重启"),
    Cause.UNREADY: ("the canary is not ready", "金丝雀未就绪"),
}


def decisive(judgement: Judgement | None) -> GateResult | None:
    """The gate that made the verdict what it is; None where all are healthy."""
    if judgement is None or judgement.verdict is Verdict.HEALTHY:
        return None
    acting = (result for result in judgement.gates if not result.observe)
    return next((result for result in acting if result.verdict is judgement.verdict), None)


def of_start(state: State, language: Language) -> str:
    """The steps that are ahead; a first release has none, as there is nothing to compare it with."""
    if state.stable is None:
        return {
            Language.EN: "there is no stable release yet, so this one serves everybody once its checks have passed",
            Language.ZH: "尚无稳定版，检查通过后该版本即服务所有用户",
        }[language]
    steps = state.plan.steps
    weights = ", ".join(f"{step.weight.percent:g}" for step in steps)
    soak = format_duration(sum((step.soak for step in steps), timedelta(0)))
    match language:
        case Language.EN:
            return f"the steps are {weights} %, {soak} of soak in all"
        case Language.ZH:
            return f"共 {len(steps)} 步：{weights}%，共观察 {soak}"
        case _:
            assert_never(language)


def of_rollback(state: State, language: Language, translate: Translate) -> str:
    """Why the rollout went back to stable."""
    if state.cause is None:
        return translate(state.because)
    english, chinese = _CAUSES[state.cause]
    match language:
        case Language.EN:
            says_it_all = state.cause in (Cause.ORDERED, Cause.CHECKS_FAILED) and state.because
            return state.because if says_it_all else _joined(english, state.because, ": ")
        case Language.ZH:
            return _joined(chinese, translate(state.because), "：")
        case _:
            assert_never(language)


def of_pause(state: State, language: Language, translate: Translate) -> str:
    """Why the machine has paused the rollout."""
    match language:
        case Language.EN:
            return state.paused.removeprefix("because ")
        case Language.ZH:
            return translate(state.paused.removeprefix("because "))
        case _:
            assert_never(language)


def of_stuck_rollback(state: State, language: Language, translate: Translate) -> str:
    """Why the gateway cannot be brought back to stable."""
    match language:
        case Language.EN:
            return f"{state.tries} tries failed, and it is tried again: {state.failure}"
        case Language.ZH:
            return f"已失败 {state.tries} 次，仍在重试：{translate(state.failure)}"
        case _:
            assert_never(language)


def of_blindness(
    state: State, judged: Judgement | None, now: datetime, language: Language, translate: Translate
) -> str:
    """Since when nobody judges the canary, what happens to it, and why."""
    since = state.blind_since or now
    why = judged.reason if judged is not None and judged.verdict is Verdict.BLIND else ""
    held = state.ordered == NOTHING or state.plan.on_blind is OnBlind.HOLD
    due = since + state.plan.blind_budget
    match language:
        case Language.EN:
            back = f"the canary goes back to stable at {due:%H:%M} UTC unless they return"
            return _joined(f"no metrics since {since:%H:%M} UTC; {'the weight is held' if held else back}", why, ": ")
        case Language.ZH:
            back = f"若不恢复，{due:%H:%M} UTC 切回稳定版"
            then = "权重保持不变" if held else back
            return _joined(f"自 {since:%H:%M} UTC 起没有指标，{then}", translate(why), "：")
        case _:
            assert_never(language)


def of_approval(state: State, language: Language) -> str:
    """What an approval lets happen."""
    after = None if state.last_step else state.plan.steps[state.step + 1].weight
    match language:
        case Language.EN:
            return f"the soak is over and every gate is healthy; next is {after or 'the promotion'}"
        case Language.ZH:
            return f"观察已结束，所有门禁均健康；下一步：{f'{after.percent:g}%' if after is not None else '全量发布'}"
        case _:
            assert_never(language)


def of_promotion(state: State, language: Language) -> str:
    """What the promotion rests on."""
    if not state.hurried and state.stable is None:
        return ""
    match language:
        case Language.EN:
            ordered = f"{state.hurried} ordered the promotion without the remaining steps"
            return ordered if state.hurried else "every step has soaked and was judged healthy"
        case Language.ZH:
            return f"{state.hurried} 下令跳过剩余步骤" if state.hurried else "每一步都观察完毕，结论健康"
        case _:
            assert_never(language)


def _joined(what: str, why: str, by: str) -> str:
    return f"{what}{by}{why}" if why else what
