"""One phrase in the language of the reader: a table for each language, and the same keys in all of them.

Values are put in once and never read as phrases again. What a sentence says is decided by who asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from rollout.core.language import Language
from rollout.core.plan import Weight
from rollout.report.chinese import in_chinese
from rollout.report.markdown import Markdown, text
from rollout.report.phrases_en import ENGLISH
from rollout.report.phrases_zh import CHINESE
from rollout.report.words import span

PHRASES: Final[Mapping[Language, Mapping[str, str]]] = {Language.EN: ENGLISH, Language.ZH: CHINESE}
_UNITS: Final = {" d": " 天", " h": " 小时", " min": " 分钟", " s": " 秒", " ms": " 毫秒"}


def say(language: Language, key: str, **values: Markdown) -> Markdown:
    """A phrase as Markdown; every value is Markdown already. Raises KeyError for a key that no table has."""
    return Markdown(PHRASES[language][key].format(**values))


def plain(language: Language, key: str, **values: str) -> str:
    """A phrase as plain text, for those without markup."""
    return PHRASES[language][key].format(**values)


def translated(language: Language, sentence: str) -> str:
    """A sentence of the machine, the judge or the log in the reader's language; what nobody knows stays as it is."""
    match language:
        case Language.EN:
            return sentence
        case Language.ZH:
            return in_chinese(sentence)


def told(language: Language, sentence: str) -> Markdown:
    """The same, escaped."""
    return text(translated(language, sentence), most=600)


def lasting(language: Language, duration: timedelta) -> Markdown:
    """A duration in words."""
    words = span(duration)
    if language is Language.ZH:
        words = re.sub(r" (?:d|h|min|s|ms)\b", lambda unit: _UNITS[unit.group()], words)
    return Markdown(words)


def share(language: Language, weight: Weight) -> Markdown:
    """A weight as it is written in the language."""
    return percentage(language, str(weight))


def percentage(language: Language, words: str) -> Markdown:
    """Percents as they are written in the language: `5 %`, `5%`."""
    return Markdown(words.replace(" %", "%") if language is Language.ZH else words)


def moment(at: datetime, now: datetime) -> Markdown:
    """A time of day in UTC, with the date where it is another day than now: `14:32 UTC`."""
    here = at.astimezone(UTC)
    return Markdown(f"{here:%H:%M} UTC" if here.date() == now.astimezone(UTC).date() else f"{here:%Y-%m-%d %H:%M} UTC")
