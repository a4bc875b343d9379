"""The sentences of the machine, the judge and the log in Chinese, by a table of patterns.

Journals hold English sentences, also those written by older versions. What no pattern knows, such as the words of a
server or of a person, stays as it is: a wrong translation is worse than none.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from rollout.report.chinese_patterns import PATTERNS

_NESTED: Final = re.compile(r"rest\d*")
_PERCENT: Final = re.compile(r"(?<=\d) %")
_DEEPEST: Final = 6


def in_chinese(sentence: str) -> str:
    """A sentence in Chinese as far as it is known: whole, or clause by clause."""
    return _translated(sentence, _DEEPEST)


def _translated(sentence: str, depth: int) -> str:
    if not depth:
        return sentence
    for pattern, template in _compiled():
        found = pattern.fullmatch(sentence)
        if found is not None:
            return template.format(**{key: _value(key, value, depth) for key, value in found.groupdict().items()})
    for english, chinese in (("; ", "；"), (", and ", "，")):
        clauses = sentence.split(english)
        told = [_translated(clause, depth - 1) for clause in clauses]
        if len(clauses) > 1 and told != clauses:
            return chinese.join(told)
    name, _, rest = sentence.partition(": ")
    known = _translated(rest, depth - 1)
    return sentence if known == rest else f"{name}：{known}"


def _value(key: str, value: str | None, depth: int) -> str:
    """Groups named `rest` are sentences themselves, `span` a duration; of others only the percent sign is set."""
    if value is None:
        return ""
    if _NESTED.fullmatch(key):
        return _translated(value, depth - 1)
    if key.startswith("span"):
        return _span(value)
    if key.startswith("name"):
        return value
    return _PERCENT.sub("%", value)


def _span(value: str) -> str:
    words = {"d": "天", "h": "小时", "min": "分钟", "s": "秒", "ms": "毫秒"}
    return re.sub(r"(?<=\d) (d|h|min|ms|s)\b", lambda unit: f" {words[unit[1]]}", value)


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern, re.DOTALL), template) for pattern, template in PATTERNS)
