"""The real bare git repository behind the GitHub of the tests: objects and refs, as git itself stores them.

It knows git and nothing of GitHub. Objects are written in git's own format by hand and read through one
`git cat-file --batch`, as a process for each would make a thousand races take an hour; refs are moved by
`git update-ref`, which compares and swaps.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE = "100644"
FOLDER = "40000"


class NoObject(Exception):
    """No object has this name."""


class RefRefused(Exception):
    """Git did not move the ref; the text is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who wrote a commit, and when."""

    name: str
    email: str
    at: datetime

    def line(self) -> str:
        """As it stands in a commit object."""
        return f"{self.name} <{self.email}> {int(self.at.timestamp())} +0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit object."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """An annotated tag: an object of its own that names another one."""

    sha: str
    name: str
    object: str
    kind: str
    tagger: Person
    message: str


class BareRepository:
    """A bare repository in a folder. Safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
        self._run("init", "--quiet", "--bare", "--initial-branch=main", str(folder), inside=False)
        self._run("config", "receive.advertisePushOptions", "false")
        self._reader = subprocess.Popen(
            ["git", "--git-dir", str(folder), "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._env,
        )

    def close(self) -> None:
        """Stop reading. The folder stays."""
        with self._lock:
            assert self._reader.stdin is not None
            assert self._reader.stdout is not None
            self._reader.stdin.close()
            self._reader.wait()
            self._reader.stdout.close()

    # Objects

    def write(self, kind: str, content: bytes) -> str:
        """Store an object; its name."""
        whole = f"{kind} {len(content)}".encode() + b"\0" + content
        sha = hashlib.sha1(whole).hexdigest()
        path = self.folder / "objects" / sha[:2] / sha[2:]
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f"{path.name}.{threading.get_ident()}")
            part.write_bytes(zlib.compress(whole, 1))
            part.rename(path)
        return sha

    def read(self, name: str) -> tuple[str, str, bytes]:
        """The whole name, the kind and the content of an object. Raises NoObject."""
        if not name or any(character.isspace() for character in name):
            raise NoObject(name)
        with self._lock:
            assert self._reader.stdin is not None
            assert self._reader.stdout is not None
            self._reader.stdin.write(name.encode() + b"\n")
            self._reader.stdin.flush()
            words = self._reader.stdout.readline().decode().split()
            if len(words) != 3 or words[1] in ("missing", "ambiguous"):
                raise NoObject(name)
            content = self._reader.stdout.read(int(words[2]))
            self._reader.stdout.read(1)
            return words[0], words[1], content

    def kind(self, sha: str) -> str:
        """What an object is; empty where there is none."""
        try:
            return self.read(sha)[1]
        except NoObject:
            return ""

    def blob(self, sha: str) -> bytes:
        """What a file holds. Raises NoObject."""
        return self._of_kind(sha, "blob")[1]

    def entries(self, sha: str) -> dict[str, tuple[str, str]]:
        """Name to (mode, sha) of one tree. Raises NoObject."""
        content = self._of_kind(sha, "tree")[1]
        found, at = {}, 0
        while at < len(content):
            end = content.index(b"\0", at)
            mode, name = content[at:end].decode().split(" ", 1)
            found[name] = (mode, content[end + 1 : end + 21].hex())
            at = end + 21
        return found

    def files(self, tree: str, under: str = "") -> dict[str, tuple[str, str]]:
        """Path to (mode, sha) of every file of a tree and the trees in it."""
        found = {}
        for name, (mode, sha) in self.entries(tree).items():
            if mode == FOLDER:
                found.update(self.files(sha, f"{under}{name}/"))
            else:
                found[f"{under}{name}"] = (mode, sha)
        return found

    def write_tree(self, files: Mapping[str, tuple[str, str]]) -> str:
        """Store the trees that hold these files (path to mode and sha); the name of the outermost one."""
        here: dict[str, tuple[str, str]] = {}
        below: dict[str, dict[str, tuple[str, str]]] = {}
        for path, entry in files.items():
            folder, slash, rest = path.partition("/")
            if slash:
                below.setdefault(folder, {})[rest] = entry
            else:
                here[folder] = entry
        for folder, inner in below.items():
            here[folder] = (FOLDER, self.write_tree(inner))
        # Git sorts a folder as if its name ended with a slash.
        ordered = sorted(here.items(), key=lambda entry: (entry[0] + "/" * (entry[1][0] == FOLDER)).encode())
        return self.write(
            "tree", b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(sha) for name, (mode, sha) in ordered)
        )

    def write_commit(
        self, tree: str, parents: tuple[str, ...], message: str, *, author: Person, committer: Person | None = None
    ) -> str:
        """Store a commit; its name."""
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
        lines += [f"author {author.line()}", f"committer {(committer or author).line()}", "", message]
        return self.write("commit", "\n".join(lines).encode())

    def commit(self, name: str) -> Commit:
        """The commit of this name, or the one that a tag of this name leads to. Raises NoObject."""
        sha, content = self._of_kind(f"{name}^{{commit}}", "commit")
        head, _, message = content.decode().partition("\n\n")
        fields = [line.split(" ", 1) for line in head.splitlines() if not line.startswith(" ")]
        one = dict(fields)
        return Commit(
            sha=sha,
            tree=one["tree"],
            parents=tuple(value for key, value in fields if key == "parent"),
            author=_person(one["author"]),
            committer=_person(one["committer"]),
            message=message,
        )

    def write_tag(self, name: str, sha: str, message: str, tagger: Person) -> str:
        """Store an annotated tag; its name."""
        head = f"object {sha}\ntype {self.read(sha)[1]}\ntag {name}\ntagger {tagger.line()}\n\n{message}\n"
        return self.write("tag", head.encode())

    def tag(self, sha: str) -> Tag:
        """The annotated tag of this name. Raises NoObject."""
        whole, content = self._of_kind(sha, "tag")
        head, _, message = content.decode().partition("\n\n")
        one = dict(line.split(" ", 1) for line in head.splitlines())
        return Tag(
            sha=whole,
            name=one["tag"],
            object=one["object"],
            kind=one["type"],
            tagger=_person(one["tagger"]),
            message=message.rstrip("\n"),
        )

    # Refs and history

    def ref(self, name: str) -> str | None:
        """What a ref points to, if it is there. The name begins with `refs/`."""
        if not name.startswith("refs/") or ".." in name:
            return None
        loose = self.folder / name
        if loose.is_file():
            return loose.read_text().strip()
        if not (self.folder / "packed-refs").is_file():
            return None
        return self.refs(name).get(name)

    def refs(self, below: str = "refs/") -> dict[str, str]:
        """Every ref whose name begins with these words, and what it points to."""
        listed = self._run("for-each-ref", "--format=%(refname) %(objectname)").stdout.decode()
        found = dict(line.split(" ") for line in listed.splitlines())
        return {name: sha for name, sha in found.items() if name.startswith(below)}

    def move(self, name: str, sha: str, *, before: str | None) -> None:
        """Point a ref to an object where it pointed to `before` (None: where it is not there). Raises RefRefused."""
        done = self._run("update-ref", name, sha, before or "0" * 40, check=False)
        if done.returncode:
            raise RefRefused(done.stderr.decode().strip())

    def delete(self, name: str) -> None:
        """Remove a ref."""
        self._run("update-ref", "-d", name)

    def history(self, sha: str) -> Iterator[str]:
        """A commit and all that lead to it, the nearest first."""
        seen, todo = {sha}, [sha]
        while todo:
            yield (now := todo.pop(0))
            for parent in self.commit(now).parents:
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)

    def contains(self, newer: str, older: str) -> bool:
        """Whether `older` is `newer` or leads to it, as a fast-forward asks."""
        return any(sha == older for sha in self.history(newer))

    def _of_kind(self, name: str, kind: str) -> tuple[str, bytes]:
        sha, found, content = self.read(name)
        if found != kind:
            raise NoObject(name)
        return sha, content

    def _run(self, *words: str, check: bool = True, inside: bool = True) -> subprocess.CompletedProcess[bytes]:
        where = ["--git-dir", str(self.folder)] if inside else []
        return subprocess.run(["git", *where, *words], env=self._env, capture_output=True, check=check)


def _person(line: str) -> Person:
    name, _, rest = line.partition(" <")
    email, _, when = rest.partition("> ")
    return Person(name=name, email=email, at=datetime.fromtimestamp(int(when.split(" ")[0]), UTC))
