"""A message as Slack's incoming webhooks take it: blocks, and a text for notifications and old clients.

Sources: docs.slack.dev, "Sending messages using incoming webhooks", "Formatting message text", and the reference of
header (plain text, 150 characters), section (3,000 characters; 10 fields of 2,000), context and text object blocks.
A link is text and no button: Slack marks a button of an app that takes no clicks with a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from rollout.notify.message import URGENT, Message, shortened
from rollout.notify.wording import MORE, labelled

HEADER: Final = 150
SECTION: Final = 3000
FIELD: Final = 2000

_SPECIAL: Final = frozenset({"here", "channel", "everyone"})

Block = dict[str, object]


def payload(message: Message, mention: tuple[str, ...] = ()) -> dict[str, object]:
    """The JSON of one message; who is named in `mention` hears of it when somebody must look."""
    return {
        "text": escaped(message.title),
        "blocks": list(_blocks(message, mention if message.reason in URGENT else ())),
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escaped(text: str) -> str:
    """Text in which nothing is a link or a mention: Slack reads & < > as the beginning of something."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _blocks(message: Message, mention: tuple[str, ...]) -> Iterator[Block]:
    yield {"type": "header", "text": _plain(message.title, HEADER)}
    yield {"type": "section", "fields": [_fact(label, value) for label, value in labelled(message)]}
    if message.evidence:
        yield {"type": "section", "text": _plain(message.evidence, SECTION)}
    called = " ".join(map(_called, mention))
    below = " ".join(part for part in (called, escaped(message.advice)) if part)
    if below:
        yield {"type": "section", "text": _marked(below)}
    if message.link:
        yield {"type": "context", "elements": [_marked(f"<{escaped(message.link)}|{MORE[message.language]}>")]}


def _fact(label: str, value: str) -> Block:
    return _marked(f"*{label}*\n{shortened(escaped(value), FIELD - len(label) - 3)}")


def _called(name: str) -> str:
    if name in _SPECIAL:
        return f"<!{name}>"
    return f"<!subteam^{name}>" if re.fullmatch(r"S[A-Z0-9]{6,}", name) else f"<@{name}>"


def _plain(text: str, most: int) -> Block:
    return {"type": "plain_text", "text": shortened(text, most), "emoji": False}


def _marked(text: str) -> Block:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
