"""One message to one webhook: Slack, WeCom, or any address that takes JSON. It knows hosts and formats, not rollouts.

Formats: api.slack.com/messaging/webhooks ("text", with & < > escaped); developer.work.weixin.qq.com, group robot
("msgtype": "text", at most 2,048 bytes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import requests

TIMEOUT_S: Final = 5.0
WECOM_BYTES: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What people outside are told."""

    title: str
    """One line: which service, where, and what happened."""
    text: str
    """Why, and what to do; may be empty."""
    reason: str
    """For programs: `started`, `needs_a_person`, `promoted` or `rolled_back`."""


class NotDelivered(Exception):
    """The message did not arrive. The text names the host and never the address, which is a secret."""


def post(url: str, message: Message) -> None:
    """Send it. Raises NotDelivered."""
    host = urlsplit(url).hostname or "?"
    try:
        answer = requests.post(url, json=body(host, message), timeout=TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as wrong:
        raise NotDelivered(f"{host}: {type(wrong).__name__}") from None
    if not answer.ok:
        raise NotDelivered(f"{host} answers {answer.status_code}")


def body(host: str, message: Message) -> dict[str, object]:
    """The JSON that the host expects."""
    both = f"{message.title}\n{message.text}".strip()
    match host:
        case "hooks.slack.com":
            return {"text": both.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
        case "qyapi.weixin.qq.com":
            content = both.encode()[:WECOM_BYTES].decode(errors="ignore")
            return {"msgtype": "text", "text": {"content": content}}
        case _:
            return {"title": message.title, "text": message.text, "reason": message.reason}
