"""YAML text to plain values that still know their lines, so that every mistake can be pointed at.

It resolves scalars by the core schema of YAML 1.2: `on`, `off`, `yes` and `12:30` are text and never a surprise. It
constructs nothing but text, numbers, booleans, lists and mappings, and knows nothing of what the keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

Loc = tuple[str | int, ...]
"""Where in the document: keys and list positions from the top."""

LARGEST: Final = 256 * 1024
"""Characters; a rollout.yml is a page or two."""
MOST_NODES: Final = 10_000
"""Values once the aliases are followed: a few lines of aliases of aliases stand for billions."""

_TAG: Final = "tag:yaml.org,2002:"
_NULL: Final = re.compile(r"~|null|Null|NULL|")
_TRUE: Final = re.compile(r"true|True|TRUE")
_FALSE: Final = re.compile(r"false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]{1,18}(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong, where, and what to do about it."""

    place: Place
    loc: Loc
    message: str
    hint: str = ""

    @property
    def where(self) -> str:
        """The location as people write it, such as `steps[2].weight`; empty for the whole file."""
        text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.loc)
        return text.removeprefix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What the file says, where it says so, and what is wrong with it as YAML."""

    content: object
    values: Mapping[Loc, Place]
    keys: Mapping[Loc, Place]
    mistakes: tuple[Mistake, ...] = ()

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """Where the value (or the key) of a location stands; for one that is not there, what should hold it."""
        if key and loc in self.keys:
            return self.keys[loc]
        while loc and loc not in self.values:
            loc = loc[:-1]
        return self.values.get(loc, Place(line=1, column=1))


def read(text: str) -> Document:
    """The document in a text. Where it is no YAML at all, its content is None and the mistake says why."""
    if len(text) > LARGEST:
        return _broken(
            Place(line=1, column=1), f"the file is larger than {LARGEST // 1024} kB", "is it the right file?"
        )
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        place = _place(mark) if mark else Place(line=1, column=1)
        said = ", ".join(part for part in (wrong.context, wrong.problem) if part)
        return _broken(place, f"this is not YAML: {said}", _advice(said))
    except yaml.reader.ReaderError as wrong:
        at = wrong.position if isinstance(wrong.position, int) else 0
        before = text[:at]
        place = Place(line=before.count("\n") + 1, column=at - before.rfind("\n"))
        return _broken(place, "a character that YAML does not allow", "save the file as plain UTF-8 text")
    except RecursionError:
        return _broken(Place(line=1, column=1), "the file is nested too deeply", "is it the right file?")
    if node is None:
        return _broken(
            Place(line=1, column=1), "the file is empty", "it needs at least `service`, `image`, `target` and `metrics`"
        )
    return _Reading().document(node)


def _broken(place: Place, message: str, hint: str) -> Document:
    mistake = Mistake(place=place, loc=(), message=message, hint=hint)
    return Document(content=None, values={}, keys={}, mistakes=(mistake,))


def _advice(said: str) -> str:
    if "\\t" in said:
        return "indent with spaces; YAML allows no tabs"
    if "mapping values are not allowed" in said:
        return "put text that holds ': ' in quotes, and check the indentation"
    if "cannot start any token" in said:
        return "put text that starts with a special character in quotes"
    if "expected a single document" in said:
        return "one file holds one rollout: remove the '---' and what follows it"
    return "check the indentation, the quotes and the brackets on this line and the one before"


def _place(mark: yaml.Mark) -> Place:
    return Place(line=mark.line + 1, column=mark.column + 1)


class _TooMuch(Exception):
    """The document holds more values than any rollout needs."""


class _Reading:
    """One pass over the nodes: builds the values and notes where each stands."""

    def __init__(self) -> None:
        self._values: dict[Loc, Place] = {}
        self._keys: dict[Loc, Place] = {}
        self._mistakes: list[Mistake] = []
        self._open: set[int] = set()
        self._count = 0

    def document(self, node: yaml.Node) -> Document:
        try:
            content = self._value(node, ())
        except _TooMuch:
            return _broken(
                _place(node.start_mark),
                f"the file holds more than {MOST_NODES} values once its aliases are followed",
                "write out what the aliases stand for",
            )
        except RecursionError:
            return _broken(_place(node.start_mark), "the file is nested too deeply", "is it the right file?")
        return Document(content=content, values=self._values, keys=self._keys, mistakes=tuple(self._mistakes))

    def _value(self, node: yaml.Node, loc: Loc) -> object:
        self._count += 1
        if self._count > MOST_NODES:
            raise _TooMuch
        self._values[loc] = _place(node.start_mark)
        if id(node) in self._open:
            self._wrong(node, loc, "this alias stands for something that holds itself", "write it out")
            return None
        self._open.add(id(node))
        try:
            match node:
                case yaml.ScalarNode():
                    return self._scalar(node, loc)
                case yaml.SequenceNode():
                    self._expect(node, loc, "seq")
                    return [self._value(item, (*loc, at)) for at, item in enumerate(node.value)]
                case yaml.MappingNode():
                    self._expect(node, loc, "map")
                    return self._mapping(node, loc)
                case _:
                    raise AssertionError(f"YAML has no node {type(node).__name__}")
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, object]:
        found: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._wrong(key, loc, "a key is a word, not a list or a mapping", "check the brackets")
            elif key.value == "<<" and key.style is None:
                for one in self._bases(value, loc):
                    merged = {**one, **merged}
            elif key.value in found:
                first = self._keys[(*loc, key.value)].line
                self._wrong(key, (*loc, key.value), f"stands twice, first on line {first}", "keep one of them")
            else:
                self._keys[(*loc, key.value)] = _place(key.start_mark)
                found[key.value] = None  # keeps the order of the file, and a key that is being read is taken
                found[key.value] = self._value(value, (*loc, key.value))
        return {**merged, **found}

    def _bases(self, node: yaml.Node, loc: Loc) -> Iterator[dict[str, object]]:
        for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(one, yaml.MappingNode) and id(one) not in self._open:
                values, keys = self._values, self._keys
                self._values, self._keys = {}, {}
                read_in = self._value(one, loc)
                # What the mapping itself says, before or after, stands where it stands.
                for at, place in self._values.items():
                    values.setdefault(at, place)
                for at, place in self._keys.items():
                    keys.setdefault(at, place)
                self._values, self._keys = values, keys
                if isinstance(read_in, dict):
                    yield read_in
            else:
                self._wrong(one, loc, "<< takes a mapping or a list of mappings", "write `<<: *name`")

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> object:
        text = str(node.value)
        if (node.tag == f"{_TAG}str" and node.style is None) or node.tag in _RESOLVED:
            return _resolve(text) if node.style is None else text
        self._expect(node, loc, "str")
        return text

    def _expect(self, node: yaml.Node, loc: Loc, kind: str) -> None:
        if node.tag != f"{_TAG}{kind}":
            self._wrong(node, loc, "a YAML tag (!...) is not supported", "leave the tag out")

    def _wrong(self, node: yaml.Node, loc: Loc, message: str, hint: str) -> None:
        self._mistakes.append(Mistake(place=_place(node.start_mark), loc=loc, message=message, hint=hint))


_RESOLVED: Final = frozenset(_TAG + kind for kind in ("null", "bool", "int", "float", "timestamp", "merge", "value"))
"""What PyYAML resolves plain scalars to by the rules of YAML 1.1; read again here by those of 1.2."""

_READINGS: Final[tuple[tuple[re.Pattern[str], Callable[[str], object]], ...]] = (
    (_NULL, lambda _: None),
    (_TRUE, lambda _: True),
    (_FALSE, lambda _: False),
    (_INT, int),
    (_FLOAT, float),
)


def _resolve(text: str) -> object:
    for pattern, value in _READINGS:
        if pattern.fullmatch(text):
            return value(text)
    return text
