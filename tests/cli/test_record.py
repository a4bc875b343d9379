"""What was recorded of a past rollout comes, replayed, to the verdict of the live one; in a simulation and for real."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollout import compose
from rollout.__main__ import main
from rollout.analysis.blocks import Timeline
from rollout.analysis.judge import judge
from rollout.cli import recording
from rollout.config import load
from rollout.core.decisions import Outcome
from rollout.core.events import Judged
from rollout.core.plan import Weight
from rollout.core.verdict import Verdict
from rollout.demo.parts import prometheus
from rollout.errors import ConfigurationError
from rollout.journals.file import FileJournal
from rollout.reading import read_gates
from rollout.replay.lines import Recording, read
from rollout.replay.replaying import Replayed, replay
from tests.engine.simulation import Process, SimulatedSource, World, plan_of
from tests.serving import exporting

PLAN = plan_of((0, 30), (10, 300), (50, 300), (100, 60))


def released(directory: Path, *, failing: float) -> World:
    """A world in which v2 was released after v1, and failed that share of its requests."""
    world = World(directory).has("v1")
    world.failing["v2"] = failing
    Process(world).release("v2", PLAN)
    return world


def again(world: World, path: Path, *, since: datetime, until: datetime) -> Replayed:
    """The rollout between two moments, recorded and replayed."""
    window = recording.of_rollout(FileJournal(world.directory), since=since, until=until)
    path.write_text("\n".join(recording.lines(SimulatedSource(world), PLAN, window)))
    found = read(str(path))
    assert isinstance(found, Recording), found
    return replay(found, PLAN)


@pytest.mark.parametrize("failing", [0.05, 0.3, 1.0])
def test_a_recorded_rollback_comes_to_the_same_verdict(tmp_path: Path, failing: float) -> None:
    world = released(tmp_path / "journal", failing=failing)
    live = next(
        event for event in world.events() if isinstance(event, Judged) and "unhealthy" in event.judgement.verdict
    )
    result = again(world, tmp_path / "a.jsonl", since=world.state.started_at, until=world.now)
    (gate,) = (one for one in live.judgement.gates if one.gate == "http 5xx")
    assert (result.outcome, result.gate) == (Verdict.UNHEALTHY, "http 5xx")
    assert result.decided_at is not None
    assert timedelta(0) <= live.at - datetime.fromtimestamp(result.decided_at, UTC) < PLAN.interval
    assert result.counts == gate.canary
    (same,) = result.judgement.gates
    assert (same.log_e, same.stable) == (gate.log_e, gate.stable)


def test_a_recorded_promotion_is_healthy(tmp_path: Path) -> None:
    """Of its window nothing is told after the promotion: the canary is stable then."""
    world = released(tmp_path / "journal", failing=0.001)
    assert world.state.promoted_at is not None
    result = again(world, tmp_path / "a.jsonl", since=world.state.started_at - timedelta(hours=1), until=world.now)
    assert (result.outcome, result.decided_at) == (Verdict.HEALTHY, None)
    assert result.ended <= world.state.promoted_at.timestamp()


def test_an_earlier_rollout_is_found_by_its_time(tmp_path: Path) -> None:
    """The newest one is another; both at once are too many, and a time before them holds none."""
    world = released(tmp_path / "journal", failing=0.5)
    first = world.state
    world.advance(timedelta(minutes=30))
    world.failing["v3"] = 0.0
    assert Process(world).release("v3", PLAN).outcome is Outcome.PROMOTED
    result = again(world, tmp_path / "a.jsonl", since=first.started_at, until=world.state.started_at)
    assert result.outcome is Verdict.UNHEALTHY
    with pytest.raises(ConfigurationError, match="2 rollouts"):
        again(world, tmp_path / "b.jsonl", since=first.started_at, until=world.now)
    with pytest.raises(ConfigurationError, match="knows no rollout"):
        again(world, tmp_path / "c.jsonl", since=first.started_at - timedelta(days=2), until=first.started_at)


def test_of_the_release_before_nothing_is_recorded(tmp_path: Path) -> None:
    """A canary that has just been taken back has left samples behind, under the same label as the next one."""
    world = released(tmp_path / "journal", failing=0.5)
    Process(world).release("v3", PLAN)
    again(world, tmp_path / "a.jsonl", since=world.state.started_at, until=world.now)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert {line["labels"]["release"] for line in lines if "labels" in line} == {"v1", "v3"}


POLICY = """\
service: chat
image: example.com/chat
interval: 1s
warm_up: 0s
target: {{ nginx: {{ include: {home}/chat.conf, listen: "127.0.0.1:1", container: {{ port: 1 }} }} }}
metrics: {{ prometheus: {{ url: "{url}" }} }}
gates:
  - name: http 5xx
    failures: 'requests_total{{version="$version", code="500"}}'
    total: 'requests_total{{version="$version"}}'
    max: 2%
    min_requests: 1
  - name: slow
    histogram: 'seconds_bucket{{version="$version"}}'
  - name: depth
    query: 'max(depth{{version="$version"}})'
    max: 5
"""


@pytest.fixture(scope="module")
def exporter() -> Iterator[int]:
    """Both versions in one process: stable is good, and the canary fails from the fifth second on."""
    began = time.monotonic()

    def expose() -> bytes:
        age = time.monotonic() - began
        lines = []
        for version, rate in (("canary", 20), ("stable", 200)):
            bad = rate * max(0.0, age - 5) if version == "canary" else 0.0
            for code, value in (("200", rate * age - bad), ("500", bad)):
                lines.append(f'requests_total{{version="{version}",code="{code}"}} {value:.0f}')
            lines += [
                f'seconds_bucket{{version="{version}",le="{bound}"}} {rate * age * share:.0f}'
                for bound, share in (("0.1", 0.8), ("0.2", 0.96), ("+Inf", 1.0))
            ]
            lines.append(f'depth{{version="{version}"}} 3')
        return "\n".join([*lines, ""]).encode()

    with exporting(expose) as port:
        yield port


@pytest.mark.real
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_a_window_of_a_real_prometheus_is_judged_as_it_was_live(
    tmp_path: Path, exporter: int, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = tmp_path / "targets.json"
    targets.write_text(json.dumps([{"targets": [f"127.0.0.1:{exporter}"]}]))
    config, file = tmp_path / "rollout.yml", tmp_path / "window.jsonl"
    with prometheus(tmp_path / "prometheus", file_sd=targets, interval=timedelta(seconds=1)) as url:
        config.write_text(POLICY.format(home=tmp_path, url=url))
        configuration = load(config, env={})
        plan, source = configuration.plan, compose.source_of(configuration)
        began, deadline = datetime.now(UTC), time.monotonic() + 60
        timeline = Timeline(start=began, deployed_at=began, seen_at=began, weights=((began, Weight(10)),))

        def live(at: datetime) -> Verdict:
            readings = read_gates(source, plan, start=began, until=at, clock=lambda: at)
            judged = judge(plan, readings, timeline=timeline, canary_release="", stable_release="", now=at)
            return judged.gates[0].verdict

        while live(datetime.now(UTC)) is not Verdict.UNHEALTHY:
            assert time.monotonic() < deadline, "the canary was not found out"
            time.sleep(0.2)
        ended = datetime.now(UTC)
        times = ["--from", began.isoformat(), "--to", ended.isoformat()]
        assert main(["record", "-c", str(config), "--journal", str(tmp_path / "none"), *times]) == 2
        assert "--weight 5" in capsys.readouterr().err
        assert main(["record", "-c", str(config), *times, "--weight", "10"]) == 0
        file.write_text(capsys.readouterr().out)
        assert main(["replay", "-c", str(config), "--json", str(file)]) == 0
        result = json.loads(capsys.readouterr().out)
        decided_at = datetime.fromtimestamp(result["decided_at"], UTC)
        assert (result["outcome"], result["gate"]) == ("unhealthy", "http 5xx")
        assert live(decided_at) is Verdict.UNHEALTHY
        assert live(decided_at - timedelta(milliseconds=500)) is not Verdict.UNHEALTHY
    depth = result["gates"][2]
    assert (depth["gate"], depth["verdict"]) == ("depth", "healthy")
    times_written = [json.loads(line)["at"] for line in file.read_text().splitlines()]
    assert times_written == sorted(times_written)
    assert url not in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which time"),
        (["--since", "2h", "--from", "2026-03-01T12:00:00Z"], "which time"),
        (["--since", "2"], "--since"),
        (["--from", "yesterday"], "no time"),
        (["--from", "2026-03-01T12:00:00"], "no time zone"),
        (["--from", "2026-03-01T12:00:00Z", "--to", "2026-03-01T11:00:00Z"], "is not before"),
        (["--since", "2h", "--weight", "101"], "--weight"),
    ],
)
def test_a_window_that_is_none_is_told(
    tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "rollout.yml"
    config.write_text(POLICY.format(home=tmp_path, url="http://127.0.0.1:1"))
    assert main(["record", "-c", str(config), *arguments]) == 2
    assert said in capsys.readouterr().err
