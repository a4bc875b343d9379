"""What a comment on a pull request orders: text in, a value out. Who wrote it and whether it is in time is asked later.

Only the first line that is not empty counts, and only where it begins with `/rollout`: a quoted order, one in a block
of code and one further down are talk about orders. Words that are not understood are never guessed at; the answer
names the order that is nearest.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rollout.core.events import Order
from rollout.core.release import TAG

PREFIX: Final = "/rollout"


class Question(StrEnum):
    """What a person can ask for without changing anything."""

    STATUS = "status"
    HELP = "help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """An order or a question, and what the person said it is for."""

    order: Order | Question
    tag: str = ""
    """The release that the order is for; empty where the person did not say."""
    step: int | None = None
    """The step that the order is for, counted from 1 as people see it; None where the person did not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotForUs:
    """A comment like any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Misunderstood:
    """A comment that begins as an order does and is none."""

    because: str
    hint: str


_MEANT: Final = {
    "rollback": Order.ABORT,
    "roll": Order.ABORT,
    "revert": Order.ABORT,
    "undo": Order.ABORT,
    "cancel": Order.ABORT,
    "stop": Order.ABORT,
    "kill": Order.ABORT,
    "hold": Order.PAUSE,
    "wait": Order.PAUSE,
    "freeze": Order.PAUSE,
    "continue": Order.RESUME,
    "unpause": Order.RESUME,
    "go": Order.RESUME,
    "ok": Order.APPROVE,
    "yes": Order.APPROVE,
    "lgtm": Order.APPROVE,
    "finish": Order.PROMOTE,
    "ship": Order.PROMOTE,
    "state": Question.STATUS,
    "info": Question.STATUS,
}
"""Words that people use for an order. They are never followed, only answered."""
_WORDS: Final = {str(order): order for order in (*Order, *Question)}
_LINES: Final = re.compile(r"\r\n|\n|\r")
_CODE: Final = re.compile(r" {4}| {0,3}\t")
_NUMBER: Final = re.compile(r"[0-9]{1,4}")


def read_order(body: str) -> Ordered | NotForUs | Misunderstood:
    """The order in a comment: `/rollout ORDER [TAG] [step N]`, in either case. `/rollout` alone asks for help."""
    line = next((line for line in _LINES.split(body) if line.strip()), "")
    words = line.split()
    if _CODE.match(line) or not words or words[0].lower() != PREFIX:
        return NotForUs()
    if len(words) == 1:
        return Ordered(order=Question.HELP)
    said = _bare(words[1]).lower()
    order = _WORDS.get(said)
    if order is None:
        return _unknown(said)
    return _read_rest(order, [_bare(word) for word in words[2:]])


def _unknown(said: str) -> Misunderstood:
    near = _MEANT.get(said) or next(iter(difflib.get_close_matches(said, _WORDS, n=1, cutoff=0.6)), "")
    if near:
        hint = f"`{PREFIX} {near}` is the nearest order; say it in a new comment if it is what you mean"
    else:
        hint = f"say one of {', '.join(f'`{PREFIX} {word}`' for word in _WORDS)}"
    return Misunderstood(because=f"there is no order {_short(said)}", hint=hint)


def _read_rest(order: Order | Question, words: list[str]) -> Ordered | Misunderstood:
    tag, step = "", None
    while words:
        word = words.pop(0)
        if word.lower() == "step":
            number = words.pop(0) if words else ""
            if not _NUMBER.fullmatch(number) or int(number) < 1 or step is not None:
                return Misunderstood(
                    because=f"{_short(number) if number else 'nothing'} stands where the number of a step should",
                    hint=f"name it as the status does: `{PREFIX} {order} step 3`",
                )
            step = int(number)
        elif tag or not TAG.fullmatch(word):
            return Misunderstood(
                because=f"{_short(word)} is one word too many",
                hint=f"say `{PREFIX} {order}`, or name what it is for: `{PREFIX} {order} v1.4.0`, "
                f"`{PREFIX} {order} step 3`; reasons go on the lines below",
            )
        else:
            tag = word
    return Ordered(order=order, tag=tag, step=step)


def _bare(word: str) -> str:
    """Without what people write around a word. Neither a tag of git nor an order ends in one of these."""
    return word.strip("`*").rstrip(".,;:!").strip("`*")


def _short(word: str) -> str:
    """Somebody's word, fit for a sentence: whoever shows it escapes it."""
    return f'"{word[:40]}…"' if len(word) > 40 else f'"{word}"'
