"""What stands under `notify:` in rollout.yml, checked before anything is sent.

The address is a secret: no message holds any of it but the name of its host. Nothing here brings a library that sends.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rollout.notify.mail_route import mail_route
from rollout.notify.message import Reason

_HINT: Final = "keep it in a secret and write its variable, such as ${SLACK_WEBHOOK}"
_MENTION: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Format(StrEnum):
    """In what form a webhook takes a message."""

    SLACK = "slack"
    WECOM = "wecom"
    JSON = "json"


HOSTS: Final = {
    "hooks.slack.com": Format.SLACK,
    "hooks.slack-gov.com": Format.SLACK,
    "qyapi.weixin.qq.com": Format.WECOM,
}
"""The hosts whose form is known; every other one gets JSON, unless `format` says otherwise."""


def _address(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", url):
        raise _wrong("this is not a URL")
    scheme = url.partition(":")[0]
    if scheme in ("smtp", "smtps"):
        try:
            mail_route(url)
        except ValueError as wrong:
            raise _wrong(str(wrong), hint="write it like smtp://user:password@host:587/?from=a@b.c&to=d@e.f") from None
    elif scheme not in ("http", "https"):
        raise _wrong("only http, https, smtp and smtps addresses can be told")
    elif not _is_web_address(url):
        raise _wrong("this is not a URL")
    return secret


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _wrong(message: str, *, hint: str = _HINT) -> PydanticCustomError:
    return PydanticCustomError("rollout", "{message}", {"message": message, "hint": hint})


def _mention(name: str) -> str:
    if not _MENTION.fullmatch(name):
        raise _wrong("this is not the id of a person", hint="write it without @, such as U024BE7LH, here or zhangsan")
    return name


def _some(events: tuple[Reason, ...]) -> tuple[Reason, ...]:
    if not events:
        raise _wrong("an address that is told nothing", hint="leave `events` out to tell it everything")
    return events


class ChannelSettings(BaseModel):
    """One address to tell, and of what."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[SecretStr, AfterValidator(_address)] = Field(
        description="Where to send: a webhook of Slack or WeCom, a mail server, or any URL that takes JSON. It is a "
        "secret and appears nowhere.",
        examples=["${SLACK_WEBHOOK}"],
    )
    events: Annotated[tuple[Reason, ...], AfterValidator(_some)] = Field(
        default=tuple(Reason),
        description="Which moments are told here. Left out, all of them.",
        json_schema_extra={"minItems": 1},
    )
    format: Format | None = Field(
        default=None,
        description="In what form a webhook takes it. Left out, the host says: `json` where it is unknown.",
    )
    mention: tuple[Annotated[StrictStr, AfterValidator(_mention)], ...] = Field(
        default=(),
        description="Whom to mention in Slack or WeCom when somebody must look: ids of members, in Slack also `here`.",
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.by_mail and self.format is not None:
            raise ValueError("a mail has no format: leave it out")
        if self.mention and (self.by_mail or self.form is Format.JSON):
            raise ValueError("only Slack and WeCom can mention people")
        return self

    @property
    def by_mail(self) -> bool:
        """Whether the address is that of a mail server."""
        return self.url.get_secret_value().startswith("smtp")

    @property
    def form(self) -> Format:
        """In what form the webhook takes a message; without meaning for mail."""
        return self.format or HOSTS.get(self.host, Format.JSON)

    @property
    def host(self) -> str:
        """The only part of the address that may be shown."""
        return urlsplit(self.url.get_secret_value()).hostname or "?"


def _from_text(value: object) -> object:
    """An address alone stands for itself with every moment."""
    match value:
        case str() | SecretStr():
            return {"url": value}
        case dict() | ChannelSettings():
            return value
        case _:
            raise _wrong("this must be a URL, or a mapping with `url`")


Channel = Annotated[ChannelSettings, BeforeValidator(_from_text, json_schema_input_type=str | ChannelSettings)]
"""An entry of `notify`: an address, or a mapping with `url`."""
