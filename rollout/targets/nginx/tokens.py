"""Tokens that let a tester reach a version whatever its weight is, signed so that users cannot make their own.

A token is `canary.2026-12-01.<hex>`, with the HMAC-SHA256 of `<service>.<version>.<date>` under the service's key. It
holds until the end of that day by the clock of the gateway. This module knows no clock and keeps no key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final, Literal

Version = Literal["canary", "stable"]

VERSIONS: Final[tuple[Version, ...]] = ("canary", "stable")
LONGEST: Final = timedelta(days=30)
"""How far ahead a token may expire: a gateway without njs lists every token that is valid, day by day."""

_TOKEN: Final = re.compile(r"(canary|stable)\.([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9a-f]{64})")


def issue(key: str, *, service: str, version: Version, expires: date, today: date) -> str:
    """A token that is valid through `expires`. Raises ValueError where that is past or more than 30 days ahead."""
    if not today <= expires <= today + LONGEST:
        raise ValueError(f"a token expires between today and {LONGEST.days} days ahead, not on {expires}")
    return _token(key, service, version, expires)


def verify(token: str, key: str, *, service: str, today: date) -> Version | None:
    """The version a token opens; None where it is malformed, expired, too far ahead, or signed with another key."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    try:
        expires = date.fromisoformat(found[2])
    except ValueError:
        return None
    version: Version = "canary" if found[1] == "canary" else "stable"
    genuine = hmac.compare_digest(token, _token(key, service, version, expires))
    return version if genuine and today <= expires <= today + LONGEST else None


def valid_tokens(key: str, *, service: str, today: date) -> Iterator[tuple[Version, date, str]]:
    """Every token that can be valid today or on one of the days a token may be issued for."""
    for days in range(LONGEST.days + 1):
        for version in VERSIONS:
            expires = today + timedelta(days=days)
            yield version, expires, _token(key, service, version, expires)


def _token(key: str, service: str, version: Version, expires: date) -> str:
    text = f"{service}.{version}.{expires.isoformat()}"
    return f"{version}.{expires.isoformat()}.{hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()}"
