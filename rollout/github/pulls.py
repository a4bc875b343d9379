"""From a release to the pull requests behind it. It reads, and never guesses from what commits say about themselves.

Which pull request brought a commit is GitHub's own record, as a rebase or a squash leaves no trace in git:
https://docs.github.com/rest/commits/commits#list-pull-requests-associated-with-a-commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from rollout.errors import ConfigurationError
from rollout.github.api import Repository, quoted

NOBODY: Final = "ghost"
"""GitHub's name for an account that was deleted."""
_PAGES: Final = 3
"""How many pages of commits between two releases are read at most; the first page is always among the requests."""
_NESTED: Final = 5
"""How many tags of tags are followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A pull request that was merged."""

    number: int
    title: str
    author: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one release has and the other has not: a pull request, or a commit that was pushed without one."""

    sha: str
    """The commit by which it came to the branch."""
    title: str
    author: str
    """A login; where GitHub knows no account, the name in the commit."""
    pull: int | None


def commit_of(repository: Repository, tag: str) -> str:
    """The commit a tag points to, also through an annotated tag. Raises ConfigurationError where there is none."""
    answer = repository.get(f"git/ref/{quoted(f'tags/{tag}')}", but=frozenset({404}))
    if answer.status == 404:
        raise ConfigurationError(
            f"there is no tag {tag} in {repository.name}", hint=f"push it first: git push origin {tag}"
        )
    found = answer.body["object"]
    for _ in range(_NESTED):
        if found["type"] != "tag":
            break
        found = repository.get(f"git/tags/{found['sha']}").body["object"]
    if found["type"] != "commit":
        raise ConfigurationError(f"the tag {tag} points to a {found['type']}, and a release is a commit")
    return str(found["sha"])


def pull_of(repository: Repository, commit: str) -> Pull | None:
    """The pull request that brought the commit to the default branch; None where it was pushed without one.

    A merge whose result is this very commit comes before the others, and may be to another branch: a release from a
    branch of fixes. Of several others it is the one that was merged last.
    """
    found = list(repository.pages(f"commits/{quoted(commit)}/pulls", most=1))
    merged = [pull for pull in found if pull["merged_at"] and (_to_default(pull) or _made(pull, commit))]
    if not merged:
        return None
    best = max(merged, key=lambda pull: (_made(pull, commit), _to_default(pull), pull["merged_at"]))
    return Pull(number=best["number"], title=best["title"], author=_login(best["user"]), url=best["html_url"])


def shipped_between(repository: Repository, before: str, after: str, *, most: int = 30) -> tuple[Change, ...]:
    """What the release at `after` has and the one at `before` has not, the newest first, each pull request once.

    Both are names of commits or tags. At most `most` commits of the branch are looked at, which is one request each.
    Empty where GitHub does not know one of the two, or nothing is new.
    """
    commits = tuple(_commits_between(repository, before, after))
    changes: dict[int | str, Change] = {}
    for commit in islice(_branch(commits), most):
        change = _change(commit, pull_of(repository, commit["sha"]))
        changes.setdefault(change.sha if change.pull is None else change.pull, change)
    return tuple(changes.values())


def _commits_between(
    repository: Repository, before: str, after: str, *, per_page: int = 100
) -> Iterator[Mapping[str, Any]]:
    """The newest commits between the two, the newest last. GitHub sends the oldest first: the last pages are read."""
    path = f"compare/{quoted(before)}...{quoted(after)}"
    first = repository.get(path, query={"per_page": per_page, "page": 1}, but=frozenset({404}))
    if first.status == 404:
        return
    last = -(-first.body["total_commits"] // per_page)
    if last <= _PAGES:
        yield from first.body["commits"]
    for page in range(max(2, last - _PAGES + 1), last + 1):
        yield from repository.get(path, query={"per_page": per_page, "page": page}).body["commits"]


def _branch(commits: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """From the newest along the first parents: what a merge brought stands for all that came with it."""
    known = {commit["sha"]: commit for commit in commits}
    commit = commits[-1] if commits else None
    while commit is not None:
        yield commit
        parents = commit["parents"]
        commit = known.get(parents[0]["sha"]) if parents else None


def _change(commit: Mapping[str, Any], pull: Pull | None) -> Change:
    if pull is not None:
        return Change(sha=commit["sha"], title=pull.title, author=pull.author, pull=pull.number)
    subject = commit["commit"]["message"].partition("\n")[0]
    author = commit["author"]
    name = author["login"] if author else commit["commit"]["author"]["name"]
    return Change(sha=commit["sha"], title=subject, author=name, pull=None)


def _to_default(pull: Mapping[str, Any]) -> bool:
    return bool(pull["base"]["ref"] == pull["base"]["repo"]["default_branch"])


def _made(pull: Mapping[str, Any], commit: str) -> bool:
    return bool(pull["merge_commit_sha"] == commit)


def _login(user: Mapping[str, Any] | None) -> str:
    return str(user["login"]) if user else NOBODY
