"""`${NAME}` in the addresses and secrets of rollout.yml: put in from the environment, and kept out of every message.

Only the sections that hold addresses and secrets are expanded. What decides about a release (steps, gates) says the
same on every machine, so a variable there is a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rollout.config.document import Document, Loc, Mistake

EXPANDED: Final = ("target", "metrics", "notify")
"""The top-level keys whose text is expanded."""
UNTOUCHED: Final = ("checks",)
"""The top-level keys where `${NAME}` is the user's own: a check's program may be a shell."""

_VARIABLE: Final = re.compile(r"\$(?:(\$)|\{([^}]*)(\})?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """The content with its variables put in, and where they went."""

    content: object
    taken: Mapping[Loc, str]
    """The locations whose text came from the environment, with that text: it appears in no message."""
    mistakes: tuple[Mistake, ...]

    def __repr__(self) -> str:
        return f"Expanded({len(self.taken)} locations)"


def expand(document: Document, env: Mapping[str, str]) -> Expanded:
    """Put variables into the text of `EXPANDED`; `$$` stands for `$`. A variable that is unset is a mistake."""
    work = _Expansion(document, env)
    content = document.content
    if isinstance(content, dict):
        content = {key: work.value(value, (key,)) for key, value in content.items()}
    return Expanded(content=content, taken=work.taken, mistakes=tuple(work.mistakes))


class _Expansion:
    """One walk over the document."""

    def __init__(self, document: Document, env: Mapping[str, str]) -> None:
        self._document = document
        self._env = env
        self.taken: dict[Loc, str] = {}
        self.mistakes: list[Mistake] = []

    def value(self, value: object, loc: Loc) -> object:
        match value:
            case dict():
                return {key: self.value(one, (*loc, key)) for key, one in value.items()}
            case list():
                return [self.value(one, (*loc, at)) for at, one in enumerate(value)]
            case str() if loc[0] in EXPANDED:
                return self._expanded(value, loc)
            case str() if loc[0] not in UNTOUCHED:
                self._refuse(value, loc)
        return value

    def _expanded(self, text: str, loc: Loc) -> str:
        def one(found: re.Match[str]) -> str:
            if found[1]:
                return "$"
            name = found[2]
            if not found[3] or not _NAME.fullmatch(name):
                self._wrong(loc, f"`{found[0]}` names no variable", "write ${NAME}, or $$ for a dollar sign")
                return found[0]
            if name not in self._env:
                self._wrong(loc, f"the variable {name} is not set", f"set {name}, or write $${{{name}}} for that text")
                return found[0]
            if not self._env[name]:
                self._wrong(loc, f"the variable {name} is empty", f"give {name} a value; is the secret defined here?")
            return self._env[name]

        result = _VARIABLE.sub(one, text)
        if any(found[2] for found in _VARIABLE.finditer(text)):
            self.taken[loc] = result
        return result

    def _refuse(self, text: str, loc: Loc) -> None:
        found = re.search(r"\$\{[^}]*\}?", text)
        if found:
            hint = f"variables are put in under {', '.join(EXPANDED)} only; write the value itself"
            self._wrong(loc, f"`{found[0]}` is not expanded here", hint)

    def _wrong(self, loc: Loc, message: str, hint: str) -> None:
        self.mistakes.append(Mistake(place=self._document.place(loc), loc=loc, message=message, hint=hint))
