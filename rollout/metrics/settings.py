"""What stands under `metrics:` in rollout.yml, checked before anything is asked.

Secrets are `SecretStr` from here on, and the url never holds one: what is left in `repr()` may be printed.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    field_validator,
    model_validator,
)

from rollout.settings import Duration

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_API: Final = re.compile(r"/(api(/v1.*)?|graph|query)$")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _base_address(text: str) -> str:
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a url is http:// or https:// and a host, such as http://127.0.0.1:9090")
    if parts.username is not None or parts.password is not None:
        raise ValueError("user and password are given in the url and in basic_auth: keep one of them")
    if parts.query or parts.fragment:
        raise ValueError("leave out what follows ? or # in the url; a token belongs under headers")
    path = parts.path.rstrip("/")
    if _API.search(path):
        raise ValueError("give the address without /api/v1 or /graph: what comes after it is added")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text.strip())
        parts.port  # noqa: B018  (the property raises for a port that is none)
    except ValueError:
        raise ValueError("this is not a url: expected something like http://127.0.0.1:9090") from None
    return parts


def _sendable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value().strip()
    if not text or not all(" " <= letter <= "~" for letter in text):
        raise ValueError("the value is empty or holds characters that no HTTP header can carry")
    return SecretStr(text)


HeaderSecret = Annotated[SecretStr, AfterValidator(_sendable)]


class BasicAuth(_Settings):
    """User and password of HTTP basic authentication."""

    username: str = Field(description="The user.")
    password: SecretStr = Field(description="The password; write `${VARIABLE}` to take it from the environment.")


class PrometheusSettings(_Settings):
    """A Prometheus server, or one that answers the same query API (Thanos, Mimir, VictoriaMetrics)."""

    url: Annotated[str, AfterValidator(_base_address)] = Field(
        description="The address before `/api/v1`. A user and password in it are taken as `basic_auth`.",
        examples=["http://prometheus.internal:9090"],
    )
    headers: dict[str, HeaderSecret] = Field(
        default_factory=dict, description="Headers to send along, such as `X-Scope-OrgID`. Never printed."
    )
    bearer_token: HeaderSecret | None = Field(default=None, description="A token for `Authorization: Bearer`.")
    bearer_token_file: Path | None = Field(
        default=None, description="A file with that token, read anew for each question, as it may rotate."
    )
    basic_auth: BasicAuth | None = Field(default=None, description="User and password.")
    verify: StrictBool | Path = Field(
        default=True, description="Whether to check the TLS certificate, or the file of the CA to check it against."
    )
    timeout: Duration = Field(
        default=timedelta(seconds=5),
        description="How long to wait for an answer; with all its retries, a question takes 3s more at most.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels that every series must have besides those of the gates, such as `cluster` or `replica`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_credentials_out_of_the_url(cls, data: object) -> object:
        if not isinstance(data, dict) or not isinstance(data.get("url"), str) or data.get("basic_auth"):
            return data
        try:
            parts = urlsplit(data["url"].strip())
        except ValueError:
            return data
        if parts.username is None:
            return data
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        found = {"username": unquote(parts.username), "password": unquote(parts.password or "")}
        return {**data, "url": urlunsplit(bare), "basic_auth": found}

    @field_validator("headers")
    @classmethod
    def _check_header_names(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name in headers:
            if not _HEADER.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of an HTTP header")
        return headers

    @field_validator("labels")
    @classmethod
    def _check_label_names(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not _LABEL.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a label")
        return labels

    @field_validator("timeout")
    @classmethod
    def _check_timeout(cls, timeout: timedelta) -> timedelta:
        if not timedelta(milliseconds=100) <= timeout <= timedelta(seconds=60):
            raise ValueError("a timeout is 100ms to 60s")
        return timeout

    @model_validator(mode="after")
    def _one_way_to_log_in(self) -> PrometheusSettings:
        ways = [name for name in ("bearer_token", "bearer_token_file", "basic_auth") if getattr(self, name) is not None]
        if any(name.lower() == "authorization" for name in self.headers):
            ways.append("headers.Authorization")
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} exclude each other: keep one")
        return self


class AccessLogSettings(_Settings):
    """nginx's own JSON access log, as the nginx target writes it."""

    path: Path | None = Field(
        default=None, description="The log; left out, it is the `access_log` of the nginx target."
    )
