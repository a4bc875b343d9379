"""Every verdict that the journal notes has its evidence on disk first, and a rollback never waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout import engine
from rollout.core.decisions import Outcome
from rollout.core.events import Judged
from rollout.evidence import files
from rollout.evidence.values import Evidence, differences, judged_anew
from tests.engine.simulation import Process, World, plan_of

PLAN = plan_of((0, 30), (10, 300), (100, 60))


def release(world: World, keep: Callable[[Evidence], None]) -> Outcome:
    """A bad release, from its start to its end."""
    world.failing["v2"] = 0.3
    ports = replace(Process(world).ports, keep=keep)
    engine.start(ports, PLAN, "v2")
    return engine.run(ports).outcome


def judged(world: World) -> list[Judged]:
    return [event for event in world.events() if isinstance(event, Judged)]


def test_each_verdict_in_the_journal_has_a_file_that_gives_it_again(tmp_path: Path) -> None:
    world = World(tmp_path / "journal").has("v1")
    evidence = tmp_path / "journal" / "evidence"

    noted: list[int] = []

    def keep(found: Evidence) -> None:
        noted.append(len(judged(world)))
        files.write(evidence, found)

    assert release(world, keep) is Outcome.ROLLED_BACK
    events = judged(world)
    assert noted == list(range(len(events))), "an event was written before its evidence"
    assert len(events) >= 2
    kept = [files.read(path) for path in sorted(evidence.rglob("*.gz"))]
    for event in events:
        told = event.judgement.gates  # also of the canary's processes, which rests on no metrics
        mine = [found for found in kept if found.at == event.at and set(found.judgement.gates) <= set(told)]
        assert mine
        assert differences(mine[0].judgement, judged_anew(mine[0])) == ()
    assert len(kept) == len(events)


@pytest.mark.parametrize("wrong", [OSError(28, "No space left on device"), ValueError("what"), RuntimeError("defect")])
def test_evidence_that_cannot_be_kept_stops_no_rollback(tmp_path: Path, wrong: Exception) -> None:
    """The journal is the same to the last byte as with a port that works."""

    def keep(_: Evidence) -> None:
        raise wrong

    worlds = [World(tmp_path / name).has("v1") for name in ("with", "without")]
    assert release(worlds[0], lambda _: None) is Outcome.ROLLED_BACK
    assert release(worlds[1], keep) is Outcome.ROLLED_BACK
    assert worlds[0].events() == worlds[1].events()
