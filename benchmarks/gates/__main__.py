"""Run the comparison, and write its results, its page and its plots: `python -m benchmarks.gates`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.gates import field, measure, pacing, plots, render, results
from benchmarks.gates.results import Results
from benchmarks.gates.scenarios import Cell, cells

CHUNK = 50
"""How many runs are one piece of work."""


def main() -> None:
    """Measure what is not measured yet, then render."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="runs of each cell")
    parser.add_argument("--seed", type=int, default=1, help="what all random numbers come from")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--only", default="", help="only cells whose name holds this")
    parser.add_argument("--again", action="store_true", help="measure again what is there")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page and the plots")
    options = parser.parse_args()
    found = results.load()
    if not options.render:
        _measure(found, options)
    render.write(found)
    plots.write(found)


def _measure(found: Results, options: argparse.Namespace) -> None:
    work = [
        *(_cell_work(found, cell, options) for cell in cells() if options.only in cell.key),
        *(
            _pacing_work(found, cell, name, options)
            for cell in pacing.pacing_cells()
            for name in PACES
            if options.only in f"pacing, {cell.key}"
        ),
    ]
    open_work = [one for one in work if one is not None]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ProcessPoolExecutor(options.jobs) as pool, Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=len(open_work))
        for name, run in open_work:
            progress.update(task, description=f"{name:<44}")
            run(pool)
            results.save(found)
            progress.advance(task)


Work = tuple[str, Callable[[ProcessPoolExecutor], None]]
PACES = {"soak": False, "evidence": True}
"""The ways to pace, and whether evidence may shorten a step."""


def _cell_work(found: Results, cell: Cell, options: argparse.Namespace) -> Work | None:
    kept = found["cells"].setdefault(cell.key, {})
    seed, runs = options.seed, options.runs
    digests = {name: results.code(name) for name in field.rules_of(cell)}
    wanted = tuple(
        name
        for name, digest in digests.items()
        if options.again or not results.fits(kept.get(name), digest=digest, seed=seed, runs=runs)
    )
    if not wanted:
        return None

    def run(pool: ProcessPoolExecutor) -> None:
        drawn = list(pool.map(partial(_outcomes, cell, wanted, seed, runs), _chunks(runs)))
        for name in wanted:
            outcome = measure.Outcome(
                np.concatenate([one[name].decided for one in drawn]),
                np.concatenate([one[name].failed for one in drawn]),
            )
            kept[name] = results.row(measure.figures(cell, outcome), digest=digests[name], seed=seed)

    return cell.key, run


def _pacing_work(found: Results, cell: Cell, name: str, options: argparse.Namespace) -> Work | None:
    kept = found["pacing"].setdefault(cell.key, {})
    digest = results.pacing_code()
    if not options.again and results.fits(kept.get(name), digest=digest, seed=options.seed, runs=options.runs):
        return None

    def run(pool: ProcessPoolExecutor) -> None:
        drawn = pool.map(partial(_paced, cell, PACES[name], options.seed, options.runs), _chunks(options.runs))
        figures = pacing.pacing_figures([one for many in drawn for one in many])
        kept[name] = results.pacing_row(figures, digest=digest, seed=options.seed)

    return f"pacing, {name}, {cell.key}", run


def _outcomes(cell: Cell, names: Sequence[str], seed: int, runs: int, first: int) -> dict[str, measure.Outcome]:
    return measure.outcomes(cell, names, seed=seed, first=first, runs=min(CHUNK, runs - first))


def _paced(cell: Cell, evidence: bool, seed: int, runs: int, first: int) -> list[pacing.Paced]:
    return pacing.rollouts(cell, evidence=evidence, seed=seed, first=first, runs=min(CHUNK, runs - first))


def _chunks(runs: int) -> range:
    return range(0, runs, CHUNK)


if __name__ == "__main__":
    main()
