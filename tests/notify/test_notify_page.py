"""docs/notify.md shows what is really sent, names every moment and every key, and its settings can be read."""

from __future__ import annotations

import re

import yaml

from rollout.notify.message import Reason
from rollout.notify.settings import ChannelSettings
from tests.notify.page import PAGE, examples_in, page
from tests.notify.test_notify_settings import entry_of


def test_the_examples_are_what_is_sent() -> None:
    """`python -m tests.notify.page` writes them anew."""
    text = PAGE.read_text(encoding="utf-8")
    assert examples_in(text) == {"slack", "wecom", "mail", "json"}
    assert page(text) == text


def test_every_moment_and_every_key_is_named() -> None:
    """In code letters, as they are written."""
    text = PAGE.read_text(encoding="utf-8")
    for word in (*Reason, *ChannelSettings.model_fields):
        assert f"`{word}`" in text


def test_what_the_page_says_to_write_can_be_read() -> None:
    """Every entry of every example of rollout.yml, with an address in place of its variable."""
    texts = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    entries = [entry for text in texts for entry in yaml.safe_load(text).get("notify", [])]
    assert len(entries) >= 5
    for entry in entries:
        read = entry_of(_with_addresses(entry))
        assert read.events


def _with_addresses(entry: object) -> object:
    match entry:
        case str():
            return _address(entry)
        case dict():
            return {**entry, "url": _address(str(entry["url"]))}
        case _:
            return entry


def _address(text: str) -> str:
    if text == "${SLACK_WEBHOOK}":
        return "https://hooks.slack.com/services/T0/B0/x"
    if text == "${WECOM_WEBHOOK}":
        return "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=x"
    return re.sub(r"\$\{\w+\}", "x", text) if "://" in text else "https://example.com/x"
