"""A PromQL vector selector as a value, so that no query is ever put together from text.

A gate names its counters by selectors such as `http_requests_total{version="$version", code=~"5.."}`. They are
parsed once, when the configuration is read; a source renders them again with every value escaped, or matches
them itself. The grammar is that of Prometheus (docs: Querying basics, "Instant vector selectors") without
offset and range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Operator = Literal["=", "!=", "=~", "!~"]

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OPERATOR: Final = re.compile(r"=~|!~|!=|=")
_STRING: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\'')
_SPACE: Final = re.compile(r"\s*")
_ESCAPES: Final = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t", "r": "\r"}

VERSION: Final = "$version"


class NotASelector(ValueError):
    """The text is not a vector selector; the message says where it stops being one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition on one label."""

    label: str
    operator: Operator
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy the condition; an absent label counts as empty, as in Prometheus."""
        have = labels.get(self.label, "")
        match self.operator:
            case "=":
                return have == self.value
            case "!=":
                return have != self.value
            case "=~":
                return re.fullmatch(self.value, have) is not None
            case "!~":
                return re.fullmatch(self.value, have) is None

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.operator}"{value}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A metric name and the conditions on its labels. `str()` renders it as PromQL, with values escaped."""

    metric: str
    matchers: tuple[Matcher, ...] = ()

    def matches(self, metric: str, labels: Mapping[str, str]) -> bool:
        """Whether a series of that name and those labels is selected."""
        return metric == self.metric and all(matcher.matches(labels) for matcher in self.matchers)

    @property
    def names_version(self) -> bool:
        """Whether some label must equal `$version`; without it canary and stable would be the same series."""
        return any(VERSION in matcher.value and matcher.operator in ("=", "=~") for matcher in self.matchers)

    def of(self, version: str) -> Selector:
        """The selector with `$version` put in; as a value, so nothing has to be escaped here."""
        return Selector(
            metric=self.metric,
            matchers=tuple(
                Matcher(
                    label=m.label,
                    operator=m.operator,
                    value=m.value.replace(VERSION, version if m.operator in ("=", "!=") else re.escape(version)),
                )
                for m in self.matchers
            ),
        )

    def __str__(self) -> str:
        inner = ", ".join(str(matcher) for matcher in self.matchers)
        return f"{self.metric}{{{inner}}}"


def parse(text: str) -> Selector:
    """Read a selector. Raises NotASelector with the place and what stands there instead."""
    at = _skip(text, 0)
    name = _NAME.match(text, at)
    if name is None:
        raise NotASelector(f"expected a metric name at character {at + 1}: {_here(text, at)}")
    at = _skip(text, name.end())
    matchers: list[Matcher] = []
    if at < len(text) and text[at] == "{":
        at, matchers = _matchers(text, at + 1)
        at = _skip(text, at)
    if at != len(text):
        hint = " (a gate takes raw counters; rate(), sum() and the like are not needed)" if text[at] in "([" else ""
        raise NotASelector(f"expected the end at character {at + 1}: {_here(text, at)}{hint}")
    return Selector(metric=name[0], matchers=tuple(matchers))


def _matchers(text: str, at: int) -> tuple[int, list[Matcher]]:
    matchers: list[Matcher] = []
    while True:
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return at + 1, matchers
        label = _LABEL.match(text, at)
        if label is None:
            raise NotASelector(f"expected a label name or '}}' at character {at + 1}: {_here(text, at)}")
        at = _skip(text, label.end())
        operator = _OPERATOR.match(text, at)
        if operator is None:
            raise NotASelector(f"expected =, !=, =~ or !~ at character {at + 1}: {_here(text, at)}")
        at = _skip(text, operator.end())
        quoted = _STRING.match(text, at)
        if quoted is None:
            raise NotASelector(f"expected a quoted value at character {at + 1}: {_here(text, at)}")
        value = _unescape(quoted[1] if quoted[1] is not None else quoted[2])
        if operator[0] in ("=~", "!~"):
            try:
                re.compile(value)
            except re.error as wrong:
                raise NotASelector(f"the pattern of {label[0]} is not one: {wrong}") from None
        matchers.append(Matcher(label=label[0], operator=_operator(operator[0]), value=value))
        at = _skip(text, quoted.end())
        if text[at : at + 1] == ",":
            at += 1
        elif text[at : at + 1] != "}":
            raise NotASelector(f"expected ',' or '}}' at character {at + 1}: {_here(text, at)}")


def _operator(text: str) -> Operator:
    match text:
        case "=" | "!=" | "=~" | "!~":
            return text
        case _:
            raise NotASelector(f"{text!r} is not an operator")


def _unescape(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise NotASelector(f"unknown escape \\{found[1]}")
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.)", one, text)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _here(text: str, at: int) -> str:
    return repr(text[at : at + 20]) if at < len(text) else "the text ends"
