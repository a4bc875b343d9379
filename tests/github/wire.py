"""What goes over the wire between a program and the GitHub of the tests: requests, answers and the table of paths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlencode

if TYPE_CHECKING:
    from tests.github.world import World

Json: TypeAlias = dict[str, Any]
"""An object of JSON, whatever is in it."""
JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that has arrived, with the parts of its path by name."""

    verb: str
    path: str
    """Without the query, as it was sent."""
    parts: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """The JSON that was sent."""
    who: str = ""
    """The login that the token belongs to."""
    url: str = ""
    """All of it before the query."""

    @property
    def raw(self) -> bool:
        """Whether the bare content is asked for, not JSON about it."""
        return "raw" in self.headers.get("accept", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. `raw` takes the place of the JSON where the content itself was asked for."""

    status: int = 200
    body: Any = None
    raw: bytes | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def bytes(self) -> bytes:
        """What is sent after the headers."""
        if self.raw is not None:
            return self.raw
        return b"" if self.body is None else json.dumps(self.body).encode()


class Refusal(Exception):
    """GitHub's no: a status and a message."""

    def __init__(self, status: int, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.more = more

    def reply(self) -> Reply:
        """As it is sent."""
        body = {
            "message": self.message,
            "documentation_url": "https://docs.github.com/rest",
            "status": str(self.status),
        }
        return Reply(status=self.status, body=body | self.more)


NOT_FOUND = "Not Found"
Answers: TypeAlias = "Callable[[World, Call], Reply]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation, by the path that GitHub's own description gives it."""

    verb: str
    template: str
    answers: Answers
    needs: tuple[str, ...] = ()
    """Permissions of a token, such as `contents:read`; one of them is enough."""
    pattern: re.Pattern[str]

    def match(self, verb: str, path: str) -> dict[str, str] | None:
        """The parts of the path, where it is this one's."""
        found = self.pattern.fullmatch(path) if verb == self.verb else None
        return None if found is None else {name: unquote(part) for name, part in found.groupdict().items()}


_WITH_SLASHES = ("ref", "path", "basehead")
"""Parts that GitHub takes with slashes as they are, as well as with `%2F`."""


def route(verb: str, below: str, answers: Answers, *needs: str, whole: bool = False) -> Route:
    """An operation below `/repos/{owner}/{repo}`, or anywhere with `whole`."""
    template = below if whole else f"/repos/{{owner}}/{{repo}}/{below}".rstrip("/")
    pattern = "".join(
        re.escape(part) if not part.startswith("{") else f"(?P<{part[1:-1]}>{_shape(part[1:-1])})"
        for part in re.split(r"(\{[a-z_]+\})", template)
    )
    return Route(verb=verb, template=template, answers=answers, needs=needs, pattern=re.compile(pattern))


def _shape(name: str) -> str:
    return ".+" if name in _WITH_SLASHES else "[^/]+"


def page(call: Call, everything: list[Any], *, usually: int = 30, most: int = 100) -> Reply:
    """One page of a list, with the links to the others."""
    per = min(int(call.query.get("per_page", usually)), most)
    number = max(int(call.query.get("page", 1)), 1)
    last = max(-(-len(everything) // per), 1)
    others = {"prev": number - 1, "next": number + 1, "last": last if number < last else 0}
    links = [
        f'<{call.url}?{urlencode({**call.query, "page": other})}>; rel="{name}"'
        for name, other in others.items()
        if 0 < other <= last
    ]
    headers = {"Link": ", ".join(links)} if links else {}
    return Reply(body=everything[(number - 1) * per : number * per], headers=headers)
