"""One message to one webhook: Slack, WeCom, or any address that takes JSON. It knows hosts and formats, not rollouts.

Formats: api.slack.com/messaging/webhooks ("text", with & < > escaped); developer.work.weixin.qq.com, group robot
("msgtype": "text", at most 2,048 bytes).
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import requests

from rollout.notify.message import Message

TIMEOUT_S: Final = 5.0
WECOM_BYTES: Final = 2048


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
