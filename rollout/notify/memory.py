"""What has been told of the latest rollout, kept outside of the process: whoever takes over repeats nothing.

It is a decoration as telling is. A memory that is lost is begun anew; it must never stop a rollout.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

FILE: Final = "told.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What people have been told of one rollout: keys of the teller's own making."""

    rollout: str
    """Empty before the first one."""
    keys: frozenset[str] = frozenset()

    def text(self) -> str:
        """As it is kept."""
        return json.dumps({"rollout": self.rollout, "told": sorted(self.keys)}) + "\n"


class Memory(Protocol):
    """Where it is kept."""

    def load(self) -> Told | None:
        """What was kept last; None where nothing was, or where it is not legible."""

    def save(self, told: Told) -> None:
        """Keep it instead of what was there. May raise OSError or a RolloutError."""


class OwnMemory:
    """In this process alone."""

    def __init__(self) -> None:
        self._told: Told | None = None

    def load(self) -> Told | None:
        """See Memory."""
        return self._told

    def save(self, told: Told) -> None:
        """See Memory."""
        self._told = told


class FileMemory:
    """One file that is replaced as a whole; it lies beside the journal."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Told | None:
        """See Memory."""
        try:
            return _read(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def save(self, told: Told) -> None:
        """See Memory."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        new.write_text(told.text(), encoding="utf-8")
        new.replace(self._path)


class RefStore(Protocol):
    """A place with commits and refs, as the journal in a git ref asks for one too."""

    def head(self, ref: str) -> str:
        """The commit that the ref points to; empty where there is none."""

    def text(self, commit: str, name: str) -> str | None:
        """A file of a commit; None where that has none."""

    def commit(self, *, name: str, text: str, message: str, parent: str) -> str:
        """A new commit with one file; nothing points to it yet."""

    def move(self, ref: str, *, to: str, parent: str) -> str:
        """Move the ref forward, or make it where the parent is empty: empty where that is done, else why not."""


class RefMemory:
    """One file under a git ref of its own: two requests to load it, three to save it.

    Whoever holds the lease of the journal is the only writer; where somebody else was faster all the same, theirs
    stays, and this process knows what it has told itself.
    """

    def __init__(self, refs: RefStore, *, ref: str) -> None:
        self._refs = refs
        self._ref = ref
        self._head = ""

    def load(self) -> Told | None:
        """See Memory."""
        self._head = self._refs.head(self._ref)
        text = self._refs.text(self._head, FILE) if self._head else None
        try:
            return _read(text) if text is not None else None
        except ValueError:
            return None

    def save(self, told: Told) -> None:
        """See Memory."""
        message = f"told: {told.rollout or 'nothing yet'}"
        commit = self._refs.commit(name=FILE, text=told.text(), message=message, parent=self._head)
        if self._refs.move(self._ref, to=commit, parent=self._head):
            self._head = self._refs.head(self._ref)
        else:
            self._head = commit


def _read(text: str) -> Told | None:
    match json.loads(text):
        case {"rollout": str(rollout), "told": [*keys]}:
            return Told(rollout=rollout, keys=frozenset(map(str, keys)))
        case _:
            return None
