"""HTML and SVG that cannot be broken out of: text becomes markup only by being escaped.

mypy keeps `Html` and `str` apart, so that a forgotten escape is a type error. This module knows nothing of rollouts.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Final, NewType

Html = NewType("Html", str)
"""Markup that is safe to put between tags."""

NONE: Final = Html("")
_VOID: Final = frozenset({"meta", "br"})


def text(raw: str) -> Html:
    """Text of anyone as markup. What neither prints nor breaks a line becomes U+FFFD, direction marks too."""
    return Html(html.escape("".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in raw)))


def tag(name: str, /, *children: Html, **attributes: str | float) -> Html:
    """An element. Attribute values are escaped; a trailing underscore is dropped and others become hyphens.

    Names are the caller's own words and never come from outside. Raises ValueError for a number that is not finite.
    """
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{''.join(children)}</{name}>")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return text(value)
    if not math.isfinite(value):
        raise ValueError("a coordinate is a finite number")
    return f"{round(value, 2):g}" if abs(value) < 1e5 else f"{value:.2f}"


def joined(parts: Iterable[Html]) -> Html:
    """Several pieces one after the other."""
    return Html("".join(parts))
