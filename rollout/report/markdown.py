"""GitHub Markdown that cannot be broken out of: text becomes markup only by being escaped.

mypy keeps `Markdown` and `str` apart, so that a forgotten escape is a type error. This module knows nothing of
rollouts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NewType
from urllib.parse import quote

Markdown = NewType("Markdown", str)
"""Markup that is safe to put between other markup, or inside a cell of a table."""

NOTHING: Final = Markdown("")
LONGEST_TEXT: Final = 300
"""How many characters of one text of others are shown."""

_ZERO_WIDTH: Final = "&#8203;"
_WAKING: Final = r"@|\#(?=\w)|(?<=[Gg][Hh])-(?=\d)|(?<!\d):(?=[\w+-]+:)|:(?=//)|(?<=[Ww]{3})\."
"""What GitHub would turn into a mention, a reference to an issue, an emoji or a link."""
_LEADING: Final = r"\A[#+=-]|(?<=\A\d)[.)](?= |\Z)|(?<=\A\d\d)[.)](?= |\Z)"
"""What would begin a heading or a list, where text begins a line."""
_SPECIAL: Final = re.compile(rf"(?P<waking>{_WAKING})|{_LEADING}|[\\`*_\[\]|~&<>$]")
_FENCE: Final = re.compile(r"`{3,}")

Alert = Literal["NOTE", "TIP", "IMPORTANT", "WARNING", "CAUTION"]


def text(raw: str, *, most: int = LONGEST_TEXT) -> Markdown:
    """Text of anyone as one line of markup: no mention, reference, link, emoji, formula or markup of its own.

    Entities stand where backslashes could: they also hold inside of HTML blocks, which Markdown leaves alone. What is
    longer than `most` characters is cut.
    """
    return Markdown(_SPECIAL.sub(_escaped, clipped(raw, most)))


def _escaped(found: re.Match[str]) -> str:
    sign = found.group()
    if found["waking"]:
        return f"{_ZERO_WIDTH}." if sign == "." else f"{sign}{_ZERO_WIDTH}"
    return "<span>$</span>" if sign == "$" else f"&#{ord(sign)};"


def clipped(raw: str, most: int = LONGEST_TEXT) -> str:
    """Text of others as one line without control and direction characters, and no longer than `most` characters."""
    printable = "".join(char if char.isprintable() else " " for char in raw[: most * 8])
    line = " ".join(printable.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def code(raw: str, *, most: int = 80) -> Markdown:
    """Text of anyone as inline code, by HTML: backticks are not seen inside of HTML blocks."""
    return Markdown(f"<code>{text(raw, most=most)}</code>")


def unbroken(inner: Markdown) -> Markdown:
    """The same on one line, for a narrow cell: its spaces do not break. Only for text, never for tags."""
    return Markdown(inner.replace(" ", "&nbsp;"))


def strong(inner: Markdown) -> Markdown:
    """Markup in bold, by HTML: asterisks beside CJK punctuation are not seen as emphasis."""
    return Markdown(f"<b>{inner}</b>") if inner else inner


def link(inner: Markdown, url: str) -> Markdown:
    """A link; without an address, or with one that is not http(s), only its text."""
    if not re.match(r"https?://", url):
        return inner
    return Markdown(f"[{inner}]({quote(url, safe='/:?&=#%~+,;@')})")


def table(head: Sequence[Markdown], rows: Iterable[Sequence[Markdown]], *, centred: bool = False) -> Markdown:
    """A table; nothing where there are no rows."""
    body = [_row(row) for row in rows]
    if not body:
        return NOTHING
    rule = "|".join(":-:" if centred else "---" for _ in head)
    return Markdown("\n".join((_row(head), f"|{rule}|", *body)))


def _row(cells: Sequence[Markdown]) -> str:
    return f"| {' | '.join(cells)} |"


def alert(kind: Alert, *paragraphs: Markdown) -> Markdown:
    """A coloured block with an icon, as GitHub renders it."""
    lines = "\n>\n".join("\n".join(f"> {line}" for line in one.splitlines()) for one in paragraphs if one)
    return Markdown(f"> [!{kind}]\n{lines}") if lines else NOTHING


def folded(title: Markdown, *inner: Markdown, opened: bool = False) -> Markdown:
    """Something that opens on a click; nothing where there is nothing inside."""
    whole = blocks(inner)
    if not whole:
        return NOTHING
    return Markdown(f"<details{' open' if opened else ''}><summary>{title}</summary>\n\n{whole}\n\n</details>")


def blocks(parts: Iterable[Markdown]) -> Markdown:
    """Blocks one after the other, without the empty ones."""
    return Markdown("\n\n".join(part for part in parts if part))


def items(parts: Iterable[Markdown], *, numbered: bool = False) -> Markdown:
    """A list, each of whose items is one line."""
    return Markdown("\n".join(f"{f'{n}.' if numbered else '-'} {part}" for n, part in enumerate(parts, start=1)))


def fenced(lines: Iterable[str], kind: str = "text") -> Markdown:
    """Lines of anyone as a block of code that no line can end; nothing where there are none.

    Control characters, colours of terminals and direction marks become U+FFFD. `kind` is the caller's own word.
    """
    shown = [_visible(line) for line in lines]
    if not shown:
        return NOTHING
    longest = max((len(run) for line in shown for run in _FENCE.findall(line)), default=2)
    fence = "`" * max(3, longest + 1)
    return Markdown("\n".join((f"{fence}{kind}", *shown, fence)))


def _visible(line: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in line.rstrip("\r\n"))
