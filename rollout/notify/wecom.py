"""A message as a group robot of WeCom (企业微信) takes it: its own small Markdown, at most 4,096 bytes.

Source: developer.work.weixin.qq.com/document/path/91770. It knows headings, bold, links, code in a line, quotes, three
colours and `<@userid>`, and has no way to escape any of them; more than 4,096 bytes are refused (40058), more than 20
messages a minute as well (45009). A refusal is an `errcode` in an answer 200.
"""

from __future__ import annotations

from typing import Final, assert_never

from rollout.core.language import Language
from rollout.notify.message import URGENT, Message, Reason
from rollout.notify.wording import MORE, labelled, labels_of_text

MOST_BYTES: Final = 4096

_HARMLESS: Final = str.maketrans({"<": "＜", ">": "＞", "[": "［", "]": "］", "`": "'"})


def payload(message: Message, mention: tuple[str, ...] = ()) -> dict[str, object]:
    """The JSON of one message; who is named in `mention` hears of it when somebody must look."""
    return {"msgtype": "markdown", "markdown": {"content": content(message, mention)}}


def content(message: Message, mention: tuple[str, ...] = ()) -> str:
    """The Markdown. Where it would be too long, the evidence is cut, then left out, then the link."""
    called = mention if message.reason in URGENT else ()
    whole = _text(message, called, message.evidence)
    if _fits(whole):
        return whole
    left = MOST_BYTES - len(_text(message, called, "…").encode())
    if left >= 0:
        shorter = message.evidence.encode()[:left].decode(errors="ignore")
        # A character that is made harmless may grow: from one byte to three.
        while not _fits(cut := _text(message, called, f"{shorter.rstrip()}…")):
            shorter = shorter[: len(shorter) // 2]
        return cut
    return _text(message, called, "", link="").encode()[:MOST_BYTES].decode(errors="ignore")


def harmless(text: str) -> str:
    """Text in which nothing is a link, a colour, code or a mention: look-alikes stand for what would be read as one."""
    return text.translate(_HARMLESS)


def _fits(text: str) -> bool:
    return len(text.encode()) <= MOST_BYTES


def _text(message: Message, called: tuple[str, ...], evidence: str, link: str | None = None) -> str:
    why, advice = labels_of_text(message.language)
    colon = "：" if message.language is Language.ZH else ": "
    lines = [f'### <font color="{_colour(message.reason)}">{harmless(message.title)}</font>']
    lines += [f"> {label}{colon}{harmless(value)}" for label, value in labelled(message)]
    if evidence:
        lines += ["", f"**{why}**{colon}{harmless(evidence)}"]
    if message.advice:
        lines += ["", f"**{advice}**{colon}{message.advice}"]
    address = message.link if link is None else link
    if address:
        lines += ["", f"[{MORE[message.language]}]({address})"]
    if called:
        lines += ["", " ".join(f"<@{name}>" for name in called)]
    return "\n".join(lines)


def _colour(reason: Reason) -> str:
    match reason:
        case Reason.STARTED:
            return "comment"
        case Reason.NEEDS_A_PERSON | Reason.BLIND | Reason.ROLLED_BACK:
            return "warning"
        case Reason.PROMOTED:
            return "info"
        case _:
            assert_never(reason)
