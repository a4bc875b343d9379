"""One message to one webhook: Slack, WeCom, or any address that takes JSON. It knows forms, and no rollouts."""

from __future__ import annotations

import json
import re
from typing import Final, assert_never

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from rollout.notify import document, slack, wecom
from rollout.notify.delivery import SOON_S, NotDelivered
from rollout.notify.message import Message
from rollout.notify.settings import ChannelSettings, Format

TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 16 * 1024
"""How much of an answer is read."""
LONGEST_WAIT_S: Final = 5.0
"""How long a server that has no time now is waited for, whatever it asks."""

_WECOM_BUSY: Final = -1
_WECOM_ERRORS: Final = {
    40008: "the message is of an unknown kind",
    40058: "the message is too long or malformed",
    45009: "more than 20 messages in a minute",
    93000: "the key is unknown or the robot was removed",
}


def post(channel: ChannelSettings, message: Message) -> None:
    """Send it. Raises NotDelivered."""
    host = channel.host
    try:
        with requests.post(
            channel.url.get_secret_value(),
            json=body(channel, message),
            timeout=TIMEOUT_S,
            allow_redirects=False,
            stream=True,
        ) as answer:
            text = answer.raw.read(MOST_BYTES, decode_content=True).decode(errors="replace")
    except (requests.RequestException, HTTPError, ValueError) as wrong:
        after_s = SOON_S if _never_left(wrong) else None
        raise NotDelivered(f"{host}: {type(wrong).__name__}", after_s=after_s) from None
    if not 200 <= answer.status_code < 300:
        after_s = _retry_after(answer) if answer.status_code in (429, 503) else None
        raise NotDelivered(f"{host} answers {answer.status_code}{_reason(channel, text)}", after_s=after_s)
    if channel.form is Format.WECOM:
        _check_wecom(host, text)


def body(channel: ChannelSettings, message: Message) -> dict[str, object]:
    """The JSON that the host expects."""
    match channel.form:
        case Format.SLACK:
            return slack.payload(message, channel.mention)
        case Format.WECOM:
            return wecom.payload(message, channel.mention)
        case Format.JSON:
            return document.payload(message)
        case _:
            assert_never(channel.form)


def _never_left(wrong: Exception) -> bool:
    """Whether no connection came about, so that another try sends nothing twice."""
    if isinstance(wrong, requests.ConnectTimeout):
        return True
    return isinstance(wrong, requests.ConnectionError) and any(
        isinstance(getattr(cause, "reason", None), NewConnectionError) for cause in wrong.args
    )


def _retry_after(answer: requests.Response) -> float | None:
    """In how many seconds the server has time again; None where that is longer than anybody waits."""
    asked = answer.headers.get("Retry-After", "1")
    if not re.fullmatch(r"[0-9]{1,6}", asked) or float(asked) > LONGEST_WAIT_S:
        return None
    return float(asked)


def _reason(channel: ChannelSettings, text: str) -> str:
    """Slack says in one word why it refuses; what others say may hold anything."""
    known = channel.form is Format.SLACK and re.fullmatch(r"[a-z_]{1,40}", text)
    return f" ({text})" if known else ""


def _check_wecom(host: str, text: str) -> None:
    """WeCom refuses with an answer 200; its own sentence is not repeated, as it names the caller's address."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    code = answer.get("errcode") if isinstance(answer, dict) else None
    if not isinstance(code, int):
        raise NotDelivered(f"{host} gives an answer that is not WeCom's")
    if code:
        known = f" ({_WECOM_ERRORS[code]})" if code in _WECOM_ERRORS else ""
        raise NotDelivered(f"{host} answers errcode {code}{known}", after_s=SOON_S if code == _WECOM_BUSY else None)
