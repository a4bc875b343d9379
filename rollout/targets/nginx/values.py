"""What the gateway of one service is, as values that cannot be built wrong.

Whatever ends in an nginx file passes a strict pattern here, whoever it came from. Nothing is rendered or read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_WORD: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_PATH: Final = re.compile(r"/[A-Za-z0-9_./@+-]+")
_LISTEN: Final = re.compile(r"(?:(?:[0-9.]{7,15}|\*|\[[0-9a-fA-F:.]+\]):)?[0-9]{1,5}")
_SERVER: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_.-]{1,253}")
_SIZE: Final = re.compile(r"[0-9]{1,10}[bkmgBKMG]?")
_SECRET: Final = re.compile(r"[0-9a-f]{32}")
_ANY: Final = {
    "": "127.0.0.1",
    "*": "127.0.0.1",
    "0.0.0.0": "127.0.0.1",  # noqa: S104  # compared, never bound
    "::": "::1",
}
"""Where to connect to what listens on every address."""


def _require(pattern: re.Pattern[str], what: str, *values: str) -> None:
    for value in values:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} is not {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One version as the gateway knows it."""

    port: int
    """Its port on 127.0.0.1."""
    rollout: str
    """The rollout that deployed it: two releases of the same image differ in it."""
    tag: str

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ValueError(f"{self.port} is not a port")
        _require(ID, "the id of a rollout", self.rollout)
        _require(TAG, "a tag", self.tag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """How testers get past the split."""

    key: str
    """What tokens are signed with; it stands in the njs script only, which others cannot read."""
    cookie: str | None = None
    header: str = "X-Rollout-Version"
    domain: str | None = None

    def __post_init__(self) -> None:
        _require(_HEADER, "the name of a header", self.header)
        if self.cookie is not None:
            _require(_WORD, "the name of a cookie", self.cookie)
        if self.domain is not None:
            _require(_SERVER, "a server name", self.domain)

    def __repr__(self) -> str:
        return f"Override(cookie={self.cookie!r}, header={self.header!r}, domain={self.domain!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Everything the nginx file says, but for the weight and the generation."""

    service: str
    environment: str
    listen: tuple[str, ...]
    server_name: tuple[str, ...]
    stable: Backend | None
    canary: Backend | None
    rollout: str
    """The rollout under way, or the last one: it salts the split, so that not the same users come first each time."""
    secret: str
    """32 hexadecimal digits: where the gateway tells about itself."""
    cookie: str
    cookie_age: timedelta
    testers: Override | None
    access_log: str
    script_file: str
    weight_file: str
    read_timeout: timedelta
    max_body: str
    njs: bool

    def __post_init__(self) -> None:
        _require(NAME, "a name of a service or an environment", self.service, self.environment)
        _require(_LISTEN, "an address to listen on", *self.listen)
        _require(_SERVER, "a server name", *self.server_name)
        _require(ID, "the id of a rollout", self.rollout)
        _require(_SECRET, "a secret of 32 hexadecimal digits", self.secret)
        _require(_WORD, "the name of a cookie", self.cookie)
        _require(_PATH, "a path for an nginx file", self.access_log, self.script_file, self.weight_file)
        _require(_SIZE, "a size", self.max_body)

    @property
    def prefix(self) -> str:
        """What every name in the file begins with; `__` parts service and environment, as neither can hold `_`."""
        return f"rollout_{self.service}__{self.environment}".replace("-", "_")

    @property
    def upstream(self) -> str:
        """The upstream that a TLS server of the user's own hands over to."""
        return self.service if self.environment == "production" else f"{self.service}-{self.environment}"

    @property
    def status_path(self) -> str:
        """Where the running gateway tells about itself."""
        return f"/.rollout/{self.secret}"

    @property
    def status_host(self) -> str:
        """A server name that reaches this gateway whatever else listens on the same address."""
        return f"rollout-{self.secret[:16]}.invalid"

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can connect, so that forwarded headers can be believed."""
        return all(listen.startswith(("127.", "[::1]")) for listen in self.listen)


def probe_addresses(listen: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Where to connect to reach what listens there: host without brackets, and port."""
    split = (text.rpartition(":") for text in listen)
    return tuple((_ANY.get(host.strip("[]"), host.strip("[]")), int(port)) for host, _, port in split)
