"""A rule that does not hold: what rules yield, and `loading` turns into a mistake with its line."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.config.document import Loc


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """What several values should agree on and do not, at the value to change."""

    loc: Loc
    message: str
    hint: str
