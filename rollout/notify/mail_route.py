"""What a mail address of rollout.yml says: `smtp://user:password@host:587/?from=a@b&to=c@d`. It connects to nothing.

`smtps` encrypts from the first byte (port 465 where none is given), `smtp` after STARTTLS (port 587). Parts with
special letters are percent-encoded, as in every URL; a `+` stands for itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_PORTS: Final = {"smtp": 587, "smtps": 465}
_KEYS: Final = frozenset({"from", "to", "starttls"})


class Encryption(StrEnum):
    """When a connection to a mail server is encrypted. Certificates are checked whenever it is."""

    AT_ONCE = "at once"
    WHERE_OFFERED = "where offered"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRoute:
    """A server, and from whom to whom."""

    host: str
    port: int
    encryption: Encryption
    sender: str
    recipients: tuple[str, ...]
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def mail_route(url: str) -> MailRoute:
    """Read a mail URL. Raises ValueError with a sentence that holds nothing of the URL."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
        query = parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("this is not the URL of a mail server") from None
    if not host:
        raise ValueError("this mail URL names no server")
    if {key for key, _ in query} - _KEYS:
        raise ValueError("a mail URL knows from, to and starttls after the question mark, and nothing else")
    senders = [value for key, value in query if key == "from"]
    recipients = tuple(one.strip() for key, value in query if key == "to" for one in value.split(","))
    if len(senders) != 1 or not recipients or not all(map(_ADDRESS.fullmatch, (*senders, *recipients))):
        raise ValueError("a mail URL needs one from=address and at least one to=address")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) is not bool(password):
        raise ValueError("a mail URL has both a user and a password, or neither")
    return MailRoute(
        host=host,
        port=port or _PORTS[parts.scheme],
        encryption=_encryption(parts.scheme, [value for key, value in query if key == "starttls"], bool(password)),
        sender=senders[0],
        recipients=recipients,
        user=user,
        password=password,
    )


def _encryption(scheme: str, starttls: list[str], password: bool) -> Encryption:
    if starttls not in ([], ["never"]):
        raise ValueError("starttls can only be never; left out, it is used where the server offers it")
    if scheme == "smtps":
        return Encryption.AT_ONCE
    if starttls and password:
        raise ValueError("a password is never sent without encryption: leave out starttls=never")
    return Encryption.NEVER if starttls else Encryption.WHERE_OFFERED
