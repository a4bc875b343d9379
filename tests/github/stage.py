"""What people do on GitHub before and while a rollout runs: push, tag, open, merge, comment; for tests to order."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from tests.github.answers_threads import say
from tests.github.bare import FILE
from tests.github.world import Comment, Pull, World

WORKFLOW = """\
name: rollout
on:
  push:
    tags: ["v*"]
  workflow_dispatch:
    inputs:
      tag:
        description: The release to roll out; left out, the rollout under way goes on.
        required: false
  issue_comment:
    types: [created]
jobs: {}
"""
"""What the repository begins with, so that there is something to dispatch."""
AUTHOR = "ada"


class Stage:
    """Acts of people on a repository. Each is done as a whole before the next one of anybody."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lock = threading.RLock()
        self.person(AUTHOR, "write")
        self.commit({"README.md": "# Chat\n", ".github/workflows/rollout.yml": WORKFLOW}, "Begin")

    def person(self, login: str, permission: str) -> None:
        """Somebody who has this role here: none, read, triage, write, maintain or admin."""
        self.world.facts.people[login] = permission

    def commit(
        self,
        files: Mapping[str, str | bytes | None],
        message: str,
        author: str = AUTHOR,
        *,
        parents: tuple[str, ...] | None = None,
        branch: str | None = "main",
    ) -> str:
        """Files over those of the first parent (None removes one), on top of the branch, which moves; its name.

        `parents` takes the place of the branch's head; `branch=None` moves none.
        """
        git = self.world.git
        with self.lock:
            head = git.ref(f"refs/heads/{branch}") if branch else None
            above = parents if parents is not None else ((head,) if head else ())
            whole = git.files(git.commit(above[0]).tree) if above else {}
            for path, content in files.items():
                whole.pop(path, None)
                if content is not None:
                    raw = content.encode() if isinstance(content, str) else content
                    whole[path] = (FILE, git.write("blob", raw))
            sha = git.write_commit(git.write_tree(whole), above, message, author=self.world.person(author))
            if branch:
                self.world.advance(branch, sha)
            return sha

    def tag(self, name: str, sha: str = "", *, annotated: bool = False, message: str = "", by: str = AUTHOR) -> str:
        """Tag a commit (main's head where none is named); what the tag points to: the commit, or the tag's object."""
        git = self.world.git
        with self.lock:
            target = sha or self.head()
            if annotated:
                target = git.write_tag(name, target, message or name, self.world.person(by))
            self.world.move(f"refs/tags/{name}", target, before=git.ref(f"refs/tags/{name}"))
            return target

    def head(self, branch: str = "main") -> str:
        """The commit that a branch points to."""
        sha = self.world.git.ref(f"refs/heads/{branch}")
        assert sha is not None, f"there is no branch {branch}"
        return sha

    def open_pull(
        self,
        title: str,
        *,
        author: str = AUTHOR,
        commits: int = 1,
        branch: str = "",
        base: str = "main",
        body: str = "",
    ) -> int:
        """Open a pull request; its number. A branch that is not there is made, with this many commits on it."""
        git = self.world.git
        with self.lock:
            number = next(self.world.numbers)
            branch = branch or f"change-{number}"
            base_sha = self.head(base)
            if git.ref(f"refs/heads/{branch}") is None:
                above = base_sha
                for part in range(1, commits + 1):
                    words = title if commits == 1 else f"{title} ({part} of {commits})"
                    files = {f"changes/{number}-{part}.txt": f"{words}\n"}
                    above = self.commit(files, words, author, parents=(above,), branch=branch)
            self.world.facts.pulls[number] = Pull(
                number=number,
                title=title,
                author=author,
                head=branch,
                base=base,
                body=body,
                head_sha=self.head(branch),
                base_sha=base_sha,
                created_at=self.world.clock(),
            )
            return number

    def merge_pull(self, number: int, how: str = "merge", *, by: str = AUTHOR) -> str:
        """Merge a pull request by `merge`, `squash` or `rebase`; the commit that the base branch is at then."""
        git = self.world.git
        with self.lock:
            pull = self.world.facts.pulls[number]
            base = self.head(pull.base)
            own = [sha for sha in git.history(pull.head_sha) if sha not in set(git.history(base))][::-1]
            title = f"{pull.title} (#{number})"
            if how == "rebase":
                made = self._again(own, base)
            else:
                files = git.files(git.commit(base).tree)
                for sha in own:
                    self._apply(files, sha)
                parents = (base, pull.head_sha) if how == "merge" else (base,)
                words = f"Merge pull request #{number} from {pull.head}\n\n{pull.title}" if how == "merge" else title
                author = self.world.person(by if how == "merge" else pull.author)
                made = [git.write_commit(git.write_tree(files), parents, words, author=author)]
            self.world.advance(pull.base, made[-1])
            pull.merged_at, pull.merged_by, pull.merge_commit = self.world.clock(), by, made[-1]
            pull.brought = (*made, *own) if how == "merge" else tuple(made)
            return made[-1]

    def _again(self, commits: list[str], base: str) -> list[str]:
        """The same changes on top of another commit, as new commits: what a rebase leaves behind."""
        git, made, at = self.world.git, [], base
        for sha in commits:
            old = git.commit(sha)
            files = git.files(git.commit(at).tree)
            self._apply(files, sha)
            committer = self.world.person("web-flow")
            at = git.write_commit(git.write_tree(files), (at,), old.message, author=old.author, committer=committer)
            made.append(at)
        return made

    def _apply(self, files: dict[str, tuple[str, str]], sha: str) -> None:
        """What a commit changed, done to these files as well."""
        git = self.world.git
        commit = git.commit(sha)
        after = git.files(commit.tree)
        before = git.files(git.commit(commit.parents[0]).tree) if commit.parents else {}
        for path in before.keys() - after.keys():
            files.pop(path, None)
        files.update({path: entry for path, entry in after.items() if before.get(path) != entry})

    def move_pull_head(self, number: int, *, after_reads: int = 0) -> None:
        """Somebody pushes to the pull request's branch: now, or once it has been read this many times more."""
        pull = self.world.facts.pulls[number]
        if after_reads:
            pull.moves_after = after_reads
            return
        with self.lock:
            pull.head_sha = self.commit({"more.txt": pull.head_sha}, "One more thing", pull.author, branch=pull.head)

    def say(self, number: int, login: str, body: str) -> Comment:
        """Somebody comments on a pull request; `comment` of the server gives the event as well."""
        with self.lock:
            return say(self.world, number, login, body)
