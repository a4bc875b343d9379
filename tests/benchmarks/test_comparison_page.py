"""The page, the plots and the file of results."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gates import plots, render, results
from benchmarks.gates.field import names
from benchmarks.gates.figures import Book, Target, beaten, missed, targets
from benchmarks.gates.results import Results, Row
from benchmarks.gates.scenarios import cells
from benchmarks.gates.svg import spread


def row(*, rolled_back: int, failed: float, minutes: float | None = 1.0) -> Row:
    """Figures of a hundred runs."""
    return Row(
        code="c",
        seed=1,
        runs=100,
        rolled_back=rolled_back,
        early=0,
        median_minutes=minutes,
        p90_minutes=minutes,
        mean_failed=failed,
    )


def made_up(*, ours: float, theirs: float, false: int) -> Results:
    """Every rule the same but Rollout: how many requests fail, and how many of 100 healthy canaries go back."""
    found = Results(cells={}, pacing={})
    for cell in cells():
        healthy = cell.sort == "null"
        found["cells"][cell.key] = {
            name: row(
                rolled_back=(false if index else 0) if healthy else 100,
                failed=theirs if index else ours,
                minutes=6.0 if index else 0.5,
            )
            for index, name in enumerate(names(cell.subject))
        }
    return found


def met(found: tuple[Target, ...], word: str) -> bool | None:
    """Whether the first target with a word in it is met."""
    return next(target.met for target in found if word in target.what)


def test_nothing_measured_is_no_target_met() -> None:
    """And the page can be written all the same."""
    empty = Results(cells={}, pacing={})
    assert {target.met for target in targets(Book(empty))} == {None}
    assert "not measured" in render.page(empty)


def test_targets_are_judged_by_the_figures() -> None:
    """Five times fewer failed requests are enough against Flagger and Argo Rollouts, and not against Kayenta."""
    found = targets(Book(made_up(ours=10, theirs=50, false=0)))
    assert met(found, "against flagger") is True
    assert met(found, "against argo") is True
    assert met(found, "against kayenta") is False
    assert met(found, "false rollback") is True


def test_a_quiet_rule_that_is_better_is_named() -> None:
    """One that rolls back healthy canaries is not."""
    assert len(beaten(Book(made_up(ours=50, theirs=10, false=1)))) > 0
    assert beaten(Book(made_up(ours=50, theirs=10, false=2))) == []


def test_rollbacks_before_the_fault_are_misses() -> None:
    """They were no detection."""
    assert missed(row(rolled_back=90, failed=1.0) | {"early": 5}) == 15


def test_results_survive_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is read again, and nothing is left beside it."""
    monkeypatch.setattr(results, "FILE", tmp_path / "results.json")
    made = made_up(ours=10, theirs=50, false=0)
    results.save(made)
    assert results.load() == made
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_rows_are_kept_only_for_the_same_code_seed_and_runs() -> None:
    """Anything else is measured again."""
    kept = row(rolled_back=1, failed=1.0)
    assert results.fits(kept, digest="c", seed=1, runs=100)
    assert not results.fits(kept, digest="d", seed=1, runs=100)
    assert not results.fits(kept, digest="c", seed=2, runs=100)
    assert not results.fits(kept, digest="c", seed=1, runs=200)
    assert not results.fits(None, digest="c", seed=1, runs=100)


def test_plots_are_well_formed_and_name_every_rule() -> None:
    """Both are XML, in both schemes."""
    book = Book(made_up(ours=10, theirs=50, false=3))
    for plot in (plots.harm_plot(book), plots.false_plot(book)):
        written = plot.svg()
        ET.fromstring(written)
        assert "prefers-color-scheme: dark" in written
        assert all(name in written for name in names(next(iter(cells())).subject))


@given(st.lists(st.floats(0, 500), max_size=20).map(sorted))
def test_names_keep_their_order_and_their_distance(wanted: list[float]) -> None:
    """However close the curves end."""
    found = spread(wanted, 15, 0, 500)
    assert len(found) == len(wanted)
    assert all(below - above >= 15 - 1e-6 for above, below in itertools.pairwise(found))
    if len(wanted) == 1:
        assert found == pytest.approx(wanted)
