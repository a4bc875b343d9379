"""The file of results: what was measured, by which code, seed and number of runs, so that it can be taken up again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NotRequired, TypedDict

import numpy as np

from benchmarks.gates.field import AT_ONCE, OURS
from benchmarks.gates.measure import Figures
from benchmarks.gates.pacing import PacingFigures

HERE: Final = Path(__file__).parent
FILE: Final = HERE / "results.json"
_PRODUCT: Final = HERE.parents[1] / "rollout"
_COMMON: Final = ("scenarios.py", "traffic.py", "signals.py", "rules.py", "measure.py")


class Row(TypedDict):
    """The figures of a rule in a cell, and what they rest on."""

    code: str
    seed: int
    runs: int
    rolled_back: int
    early: int
    median_minutes: float | None
    p90_minutes: float | None
    mean_failed: float | None


class PacingRow(TypedDict):
    """The figures of one way to pace a cell."""

    code: str
    seed: int
    runs: int
    promoted: int
    rolled_back: int
    in_two_hours: int
    median_minutes: float | None
    p90_minutes: float | None
    mean_failed: float


class Results(TypedDict):
    """The whole file."""

    about: NotRequired[dict[str, str]]
    cells: dict[str, dict[str, Row]]
    pacing: dict[str, dict[str, PacingRow]]


def load() -> Results:
    """The results so far; none where there is no file."""
    if not FILE.exists():
        return Results(cells={}, pacing={})
    found: Results = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def save(results: Results) -> None:
    """Write them, whole or not at all."""
    results["about"] = {"python": platform.python_version(), "numpy": np.__version__}
    new = FILE.with_suffix(".new")
    new.write_text(_written(results), encoding="utf-8")
    new.replace(FILE)


def code(name: str) -> str:
    """A digest of all the code that a rule's figures rest on."""
    own: Iterable[Path] = (HERE / "peers").glob("*.py")
    if name in (OURS, AT_ONCE):
        own = (HERE / "ours.py", *_product())
    return _digest((*(HERE / file for file in _COMMON), *own))


def pacing_code() -> str:
    """The same for the pacing."""
    return _digest((HERE / "scenarios.py", HERE / "pacing.py", HERE / "ours.py", *_product()))


def row(figures: Figures, *, digest: str, seed: int) -> Row:
    """As it is kept."""
    return Row(
        code=digest,
        seed=seed,
        runs=figures.runs,
        rolled_back=figures.rolled_back,
        early=figures.early,
        median_minutes=_rounded(figures.median_minutes),
        p90_minutes=_rounded(figures.p90_minutes),
        mean_failed=_rounded(figures.mean_failed),
    )


def pacing_row(figures: PacingFigures, *, digest: str, seed: int) -> PacingRow:
    """As it is kept."""
    return PacingRow(
        code=digest,
        seed=seed,
        runs=figures.runs,
        promoted=figures.promoted,
        rolled_back=figures.rolled_back,
        in_two_hours=figures.in_two_hours,
        median_minutes=_rounded(figures.median_minutes),
        p90_minutes=_rounded(figures.p90_minutes),
        mean_failed=round(figures.mean_failed, 3),
    )


def fits(kept: Row | PacingRow | None, *, digest: str, seed: int, runs: int) -> bool:
    """Whether a row that is there is what a run would give."""
    return kept is not None and (kept["code"], kept["seed"], kept["runs"]) == (digest, seed, runs)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _written(results: Results) -> str:
    """One line for each row, so that a difference can be read."""
    parts = [f'"about": {json.dumps(results.get("about", {}), sort_keys=True)}']
    tables: tuple[tuple[str, Mapping[str, Mapping[str, Row | PacingRow]]], ...] = (
        ("cells", results["cells"]),
        ("pacing", results["pacing"]),
    )
    for part, cells in tables:
        blocks: list[str] = []
        for key, rows in cells.items():
            lines = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(rows.items())]
            blocks.append(f" {json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n }")
        parts.append(f'"{part}": {{\n' + ",\n".join(blocks) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _product() -> tuple[Path, ...]:
    analysis = _PRODUCT / "analysis"
    names = ("blocks", "clauses", "dispersion", "evidence", "histograms")
    more = (_PRODUCT / "core" / "gates.py", _PRODUCT / "config" / "policy.py")
    return (*(analysis / f"{name}.py" for name in names), *more)


def _digest(files: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for file in sorted(files):
        whole.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return whole.hexdigest()[:16]
