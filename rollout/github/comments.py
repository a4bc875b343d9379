"""The comments of a rollout on one pull request: one that is edited in place, and new ones said once.

A comment is known again by its marker, the first line of its body, and by its author: anybody can copy a marker, and
what somebody else wrote is never edited. Two runs that write at once may leave two comments; the older one is kept up
to date from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rollout.errors import GitHubForbids, GitHubLimits, GitHubUnavailable
from rollout.github.api import Repository

LONGEST: Final = 65_536
"""How long a comment may be. GitHub does not say in what; UTF-16 units, as counted here, are the most careful guess."""
CUT: Final = "\n\n(The rest is left out: a comment may not be longer.)"
_GONE: Final = frozenset({404, 410})
_TRIES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment as it is on GitHub now."""

    id: int
    url: str
    body: str
    new: bool = False
    """It was written just now, not found."""


class Thread:
    """The conversation of one pull request. It remembers what it has found and written, to ask for it only once."""

    def __init__(self, repository: Repository, number: int) -> None:
        self._repository = repository
        self._number = number
        self._known: dict[str, Comment] = {}
        self._us: str | None = None

    def keep(self, marker: str, body: str) -> Comment:
        """The one comment of ours that begins with the marker says this from now on; it is created where there is none.

        A body that stands there already costs no write. Raises GitHubUnavailable and its kinds; nothing is said twice
        when the comment is kept again after that.
        """
        fit = _fit(marker, body)
        known = self._known.get(marker) or self._find(marker)
        if known is None:
            return self._create(marker, fit)
        if known.body == fit:
            return known
        return self._edit(marker, known, fit) or self._create(marker, fit)

    def say_once(self, marker: str, body: str) -> Comment:
        """A new comment, so that people are told; the one that is there where it was said before."""
        fit = _fit(marker, body)
        return self._known.get(marker) or self._find(marker) or self._create(marker, fit)

    def _find(self, marker: str) -> Comment | None:
        for found in self._repository.pages(f"issues/{self._number}/comments"):
            if _first_line(found["body"]) == marker and self._ours(found["user"]):
                body = found["body"].replace("\r\n", "\n")
                self._known[marker] = Comment(id=found["id"], url=found["html_url"], body=body)
                return self._known[marker]
        return None

    def _create(self, marker: str, body: str) -> Comment:
        """A write that seems to have failed may have taken effect, so it is looked for before it is tried again."""
        for tried in range(1, _TRIES + 1):
            try:
                answer = self._repository.send(
                    "POST", f"issues/{self._number}/comments", {"body": body}, but=frozenset({422})
                )
            except (GitHubForbids, GitHubLimits):
                raise
            except GitHubUnavailable:
                found = self._find(marker)
                if found is not None:
                    return found
                if tried == _TRIES:
                    raise
                continue
            if answer.status == 422:
                raise GitHubUnavailable(f"GitHub refuses a comment on #{self._number}: {answer.message}")
            return self._written(marker, answer.body, body, new=True)
        raise AssertionError

    def _edit(self, marker: str, known: Comment, body: str) -> Comment | None:
        """None where somebody has deleted the comment."""
        answer = self._repository.send("PATCH", f"issues/comments/{known.id}", {"body": body}, but=_GONE, again=True)
        if answer.status in _GONE:
            del self._known[marker]
            return None
        return self._written(marker, answer.body, body)

    def _written(self, marker: str, said: Mapping[str, Any], body: str, *, new: bool = False) -> Comment:
        """What was sent is remembered, as GitHub may store it a little differently."""
        self._known[marker] = Comment(id=said["id"], url=said["html_url"], body=body)
        return replace(self._known[marker], new=new)

    def _ours(self, author: Mapping[str, Any] | None) -> bool:
        """Whether we wrote it. An app's token cannot ask who it is, so for it every app's comment is ours."""
        if author is None:
            return False
        us = self._whoami()
        return bool(author["login"] == us if us else author["type"] == "Bot")

    def _whoami(self) -> str:
        """The login that the token belongs to; empty for the token of an app, as a workflow's own is one."""
        if self._us is None:
            answer = self._repository.get("/user", but=frozenset({403}))
            self._us = "" if answer.status == 403 else str(answer.body["login"])
        return self._us


def _first_line(body: str | None) -> str:
    return (body or "").partition("\n")[0].rstrip("\r")


def _fit(marker: str, body: str) -> str:
    """No longer than a comment may be, cut at the end of a line."""
    if _first_line(body) != marker or not marker:
        raise ValueError("the first line of a comment is its marker")
    if _length(body) <= LONGEST:
        return body
    room = body.encode("utf-16-le")[: 2 * (LONGEST - _length(CUT))].decode("utf-16-le", errors="ignore")
    return room.rpartition("\n")[0] + CUT


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
