"""The examples of docs/notify.md, made by the code that sends: `python -m tests.notify.page` writes them anew."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

from rollout.core.language import Language
from rollout.notify import document, slack, wecom
from rollout.notify.mail import text_of
from tests.notify.letters import MESSAGE

PAGE: Final = Path(__file__).parents[2] / "docs" / "notify.md"
_MARKED: Final = re.compile(r"(?<=<!-- example: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)

ENGLISH: Final = replace(
    MESSAGE,
    evidence="The canary is unhealthy: http 5xx: the canary fails 5.1 % of 1,204 requests, stable 0.3 % of 22,870; "
    "allowed is at most 2 %; a canary no worse than stable would look this bad at most once in 420 rollouts",
    advice="Users are on the former release. Mend the cause and release a new tag.",
    gate="http 5xx",
    link="https://github.com/example/lobechat/actions/runs/4711",
)
CHINESE: Final = replace(
    ENGLISH,
    language=Language.ZH,
    title="✗ 已回滚：v1.4.0，切回 v1.3.2（lobechat，production）",
    evidence="金丝雀不健康：http 5xx：金丝雀 1,204 次请求中失败 5.1%，稳定版 22,870 次中失败 0.3%；允许最多 2%；"
    "不比稳定版差的金丝雀，420 次发布中最多 1 次会碰巧如此",
    advice="用户已切回此前的版本。请修复原因后用新标签重新发布。",
)


def example(name: str) -> str:
    """What one channel is sent, as the page shows it."""
    match name:
        case "slack":
            return _fenced("json", _json(slack.payload(ENGLISH, ("S0614TZR7",))))
        case "wecom":
            return _fenced("markdown", wecom.content(CHINESE, ("zhangsan",)))
        case "mail":
            return _fenced("text", f"Subject: {ENGLISH.title}\n\n{text_of(ENGLISH).rstrip()}")
        case "json":
            return _fenced("json", _json(document.payload(ENGLISH)))
        case _:
            raise KeyError(name)


def page(text: str) -> str:
    """The text of the page with its examples made anew."""
    return _MARKED.sub(lambda found: f"{found[1]}{found[2]}{example(found[1])}", text)


def examples_in(text: str) -> set[str]:
    """The names of the examples that the page has."""
    return {found[1] for found in _MARKED.finditer(text)}


def _json(payload: dict[str, object]) -> str:
    return json.dumps(payload, indent=2, ensure_ascii=False)


def _fenced(kind: str, text: str) -> str:
    return f"```{kind}\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
