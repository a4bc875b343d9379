"""The message that most tests of notifications send, and any message there could be."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st
from pydantic import SecretStr

from rollout.core.language import Language
from rollout.notify.message import Message, Reason, one_line, web_address
from rollout.notify.settings import ChannelSettings, Format

AT = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
MESSAGE = Message(
    reason=Reason.ROLLED_BACK,
    language=Language.EN,
    at=AT,
    title="✗ Rolled back: v1.4.0, to v1.3.2 (lobechat, production)",
    evidence="The canary is unhealthy: http <5xx> & more: the canary fails 5.1 % of 1,204 requests, stable 0.3 %",
    advice="Mend the cause and release a new tag.",
    rollout="12-v1.4.0",
    service="lobechat",
    environment="production",
    release="v1.4.0",
    stable="v1.3.2",
    step=3,
    steps=7,
    weight=5,
    gate="http <5xx> & more",
    link="https://github.com/example/lobechat/actions/runs/1",
)

texts = st.text(max_size=3000).map(one_line)
messages = st.builds(
    Message,
    reason=st.sampled_from(Reason),
    language=st.sampled_from(Language),
    at=st.just(AT),
    title=st.text(max_size=300).map(lambda text: one_line(text, most=150)),
    evidence=texts,
    advice=st.just("Order `rollout approve`."),
    rollout=st.just("12-v1.4.0"),
    service=st.just("lobechat"),
    environment=st.just("production"),
    release=st.text("abc_.-", min_size=1, max_size=128),
    stable=st.text("abc_.-", max_size=128),
    step=st.integers(1, 20),
    steps=st.integers(1, 20),
    weight=st.floats(0, 100).map(lambda weight: round(weight, 1)),
    gate=st.text(max_size=300).map(lambda text: one_line(text, most=200)),
    link=st.text(max_size=300).map(lambda text: web_address(f"https://example.com/{text}")),
)


def channel(url: str, format: Format | None = None, *mention: str, events: tuple[Reason, ...] = ()) -> ChannelSettings:  # noqa: A002 - the key's name
    """The settings of one address."""
    return ChannelSettings(url=SecretStr(url), format=format, mention=mention, events=events or tuple(Reason))
