"""`rollout evidence` on files as they lie beside the journal: what a person reads, and the three ways it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rollout import engine
from rollout.__main__ import main
from rollout.errors import EvidenceUnreadable
from rollout.evidence import files
from rollout.evidence.values import Evidence
from tests.engine.simulation import Process, World, plan_of

Output = pytest.CaptureFixture[str]


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The evidence of a rollback."""
    world = World(tmp_path / "journal").has("v1")
    world.failing["v2"] = 0.3

    def keep(found: Evidence) -> None:
        files.write(tmp_path / "evidence", found)

    ports = replace(Process(world).ports, keep=keep)
    engine.start(ports, plan_of((0, 30), (10, 300), (100, 60)), "v2")
    engine.run(ports)
    return max((tmp_path / "evidence").rglob("*.gz"))


def test_a_person_reads_every_number_and_that_it_is_the_same_anew(kept: Path, capsys: Output) -> None:
    assert main(["evidence", str(kept)]) == 0
    told = capsys.readouterr().out
    for part in (
        "v2 against v1",
        "http 5xx: ✗ unhealthy",
        "14 of 47 requests failed; rate 29.8 %, between ",
        ", needed 100\n",
        "dispersion",
        "2026-01-01 12:00:30 UTC to 2026-01-01 12:01:10 UTC",
        'http_requests_total{version="canary", code="500"}',
        "the same in every bit",
    ):
        assert part in told


def test_a_program_reads_the_same(kept: Path, capsys: Output) -> None:
    assert main(["evidence", str(kept), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["same"], document["differences"]) == ("unhealthy", True, [])
    (gate,) = document["gates"]
    assert gate["canary"] == {"total": 47, "failures": 14, "rate": 14 / 47}
    assert gate["measured"]["canary"]["low"] < 14 / 47 < gate["measured"]["canary"]["high"]


def test_a_verdict_that_does_not_come_out_anew_is_told(kept: Path, tmp_path: Path, capsys: Output) -> None:
    found = files.read(kept)
    first = found.judgement.gates[0]
    other = replace(found, judgement=replace(found.judgement, gates=(replace(first, log_e=first.log_e + 1),)))
    path = files.write(tmp_path / "other", other)
    assert main(["evidence", str(path)]) == 1
    assert f"gate http 5xx.log_e: it is {first.log_e}, and was {first.log_e + 1}" in capsys.readouterr().out


def test_a_file_that_is_cut_off_is_an_error(kept: Path, capsys: Output) -> None:
    kept.write_bytes(kept.read_bytes()[:-20])
    assert main(["evidence", str(kept)]) == EvidenceUnreadable.exit_code == 6
    assert "cut off" in capsys.readouterr().err
