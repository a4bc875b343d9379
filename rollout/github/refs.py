"""Git references as a place that many can write and only one at a time: commits that hold one file, and moving a ref.

It knows nothing of journals or rollouts. A ref that is made only where there is none, and moved only forward, is a
compare-and-swap; that is GitHub's own promise (`force: false`), and nothing here rests on more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from rollout.errors import GitHubUnavailable
from rollout.github.api import Answer, quoted

if TYPE_CHECKING:
    from rollout.github.api import Repository

_RAW: Final = "application/vnd.github.raw+json"
_ABSENT: Final = frozenset({404})
_REFUSALS: Final = frozenset({409, 422})
_AHEAD: Final = frozenset({"ahead", "identical"})


class Refs:
    """The refs of one repository. Refs are named whole: `refs/rollouts/chat/production`.

    Every method raises GitHubUnavailable, GitHubLimits or GitHubForbids, as `Repository` does.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def head(self, ref: str) -> str:
        """What the ref points to; empty where there is none. Free where it has not changed. It may lag behind."""
        answer = self._repository.get(f"git/ref/{_path(ref)}", but=_ABSENT)
        if answer.status == 404:
            return ""
        return _sha(answer.body.get("object") if isinstance(answer.body, dict) else None, answer)

    def text(self, commit: str, name: str) -> str | None:
        """The text of a file in the root of a commit; None where the commit has none, or is not there (yet)."""
        answer = self._repository.get(f"contents/{quoted(name)}", but=_ABSENT, accept=_RAW, query={"ref": commit})
        return None if answer.status == 404 else answer.text

    def commit(self, *, name: str, text: str, message: str, parent: str) -> str:
        """A new commit that holds one file and nothing else; its parent is empty for the first. Nothing points to it.

        Two requests. What is made twice because an answer was lost is never seen by anybody.
        """
        entry = {"path": name, "mode": "100644", "type": "blob", "content": text}
        tree = self._repository.send("POST", "git/trees", {"tree": [entry]}, again=True)
        body = {"message": message, "tree": _sha(tree.body, tree), "parents": [parent] if parent else []}
        made = self._repository.send("POST", "git/commits", body, again=True)
        return _sha(made.body, made)

    def move(self, ref: str, *, to: str, parent: str) -> str:
        """Let the ref point to a commit whose parent it points to; it is made where the parent is empty.

        Empty where that is done, else GitHub's words about why not: nearly always that the ref points elsewhere. It is
        not tried again by itself: where GitHubUnavailable is raised it may have been done all the same.
        """
        if parent:
            body: object = {"sha": to, "force": False}
            answer = self._repository.send("PATCH", f"git/refs/{_path(ref)}", body, but=_REFUSALS)
        else:
            answer = self._repository.send("POST", "git/refs", {"ref": ref, "sha": to}, but=_REFUSALS)
        return (answer.message or f"status {answer.status}") if answer.status in _REFUSALS else ""

    def follows(self, commit: str, *, after: str) -> bool:
        """Whether the commit is the other one or a descendant of it."""
        answer = self._repository.get(f"compare/{quoted(after)}...{quoted(commit)}", query={"per_page": 1})
        return isinstance(answer.body, dict) and answer.body.get("status") in _AHEAD

    def hurry(self, within: timedelta) -> None:
        """From now on give up rather than wait."""
        self._repository.hurry(within)


def _path(ref: str) -> str:
    """A ref as one part of a path: GitHub's description of the API knows it only with its slashes escaped."""
    return quoted(ref.removeprefix("refs/"))


def _sha(found: object, answer: Answer) -> str:
    sha = found.get("sha") if isinstance(found, dict) else None
    if not isinstance(sha, str) or not sha:
        raise GitHubUnavailable(f"GitHub answers {answer.status} without the name of an object")
    return sha
