"""How long it takes to replay recordings, and to judge a rollout from nothing.

One recording is two hours at 15 s scrapes with four gates: two failure rates, a latency with twelve buckets, and a
ratio to stable; one instance of the canary and three of stable. Judging from nothing also has the hour of stable
before. Usage: `python -m benchmarks.replay [FILES]`, 100 files by default.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from benchmarks.stage import Row
from rollout.analysis.judge import judge
from rollout.core.gates import Emergency, FailureGate, Gate, LatencyGate
from rollout.core.plan import Plan, Step, Weight
from rollout.core.selector import parse
from rollout.replay.lines import Recording, read
from rollout.replay.replaying import replay_all
from rollout.replay.scene import scene_of

FILES: Final = 100
SCRAPE: Final = 15
HOURS: Final = 2
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""With +Inf, twelve buckets."""
_REQUESTS: Final = {"canary": 2.5, "stable": 16.0}
"""Requests per second of one instance."""

_HTTP: Final = 'http_requests_total{service="chat", version="$version"'
_CALLS: Final = 'llm_requests_total{service="chat", version="$version"'
GATES: Final[tuple[Gate, ...]] = (
    FailureGate(
        name="http 5xx",
        failures=parse(_HTTP + ', code=~"5.."}'),
        total=parse(_HTTP + "}"),
        max=0.02,
        emergency=Emergency(max=0.03, over=timedelta(minutes=5)),
    ),
    FailureGate(name="throttled", failures=parse(_HTTP + ', code="429"}'), total=parse(_HTTP + "}"), max=0.05),
    LatencyGate(name="p95 latency", histogram=parse('duration_seconds_bucket{service="chat", version="$version"}')),
    FailureGate(name="llm", failures=parse(_CALLS + ', outcome="error"}'), total=parse(_CALLS + "}"), max_ratio=1.5),
)
PLAN: Final = Plan(
    service="chat",
    environment="production",
    steps=(Step(weight=Weight(5), soak=timedelta(hours=2)), Step(weight=Weight(100), soak=timedelta(minutes=30))),
    gates=GATES,
)


def write_recording(path: Path, *, seed: int, before: int = 0) -> None:
    """A healthy canary at 5 %; `before` is how many seconds of stable lie before the start."""
    dice = random.Random(seed)
    instances = [("canary", "c1", 14), *(("stable", f"s{number}", 3 * number) for number in (1, 2, 3))]
    counters: dict[tuple[str, str, str, tuple[tuple[str, str], ...]], float] = {}
    with path.open("w", encoding="utf-8") as file:
        started = False
        for begin in range(-before, HOURS * 3600, SCRAPE):
            if begin >= 0 and not started:
                file.write(json.dumps({"at": 0, "weight": 5}) + "\n")
                started = True
            for version, instance, offset in sorted(instances, key=lambda one: one[2]):
                if version == "canary" and begin < 0:
                    continue
                served = _poisson(dice, _REQUESTS[version] * SCRAPE)
                for metric, labels, grown in _scrape(dice, served):
                    key = (metric, version, instance, tuple(labels.items()))
                    counters[key] = counters.get(key, 0.0) + grown
                    named = {"service": "chat", "version": version, "job": "chat", "instance": instance, **labels}
                    line = {"at": begin + offset, "metric": metric, "labels": named, "value": counters[key]}
                    file.write(json.dumps(line) + "\n")


def _scrape(dice: random.Random, served: int) -> Iterator[tuple[str, dict[str, str], float]]:
    """What every counter of a process grew by."""
    failed, throttled = _poisson(dice, served * 0.002), _poisson(dice, served * 0.004)
    for code, count in (("200", max(0, served - failed - throttled)), ("429", throttled), ("500", failed)):
        yield "http_requests_total", {"code": code}, count
    durations = sorted(dice.lognormvariate(math.log(0.12), 0.8) for _ in range(served))
    for bound in BOUNDS:
        yield "duration_seconds_bucket", {"le": str(bound)}, sum(one <= bound for one in durations)
    yield "duration_seconds_bucket", {"le": "+Inf"}, served
    errors = _poisson(dice, served * 0.004)
    yield "llm_requests_total", {"outcome": "ok"}, max(0, served // 4 - errors)
    yield "llm_requests_total", {"outcome": "error"}, errors


def _poisson(dice: random.Random, mean: float) -> int:
    if mean > 30:
        return max(0, round(dice.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, dice.random()
    while product > limit:
        count, product = count + 1, product * dice.random()
    return count


def measure(files: int = FILES) -> Iterator[Row]:
    """The rows of the table."""
    with tempfile.TemporaryDirectory(prefix="rollout-replay-") as name:
        paths = [Path(name) / f"{number}.jsonl" for number in range(files)]
        for seed, path in enumerate(paths):
            write_recording(path, seed=seed) if seed < 10 else path.write_bytes(paths[seed % 10].read_bytes())
        began = time.perf_counter()
        results, wrong = replay_all([str(path) for path in paths], PLAN)
        took = time.perf_counter() - began
        assert not wrong
        decided = sum(result.decided_at is not None for result in results)
        cores = len(os.sched_getaffinity(0))
        yield Row(
            what=f"replay of {files} files of 2 h with four gates",
            measured=f"{took:.1f} s on {cores} cores, {took / files * 1000:.0f} ms a file; {decided} rolled back",
            wanted="under 60 s",
        )
        past = Path(name) / "past.jsonl"
        write_recording(past, seed=1, before=3600)
        yield Row(
            what="judging 2 h of four gates from nothing, with 1 h of stable before",
            measured=f"{_judging(past) * 1000:.0f} ms (median of 9)",
            wanted="under 100 ms",
        )


def _judging(path: Path) -> float:
    recording = read(str(path))
    assert isinstance(recording, Recording)
    scene = scene_of(recording, PLAN)
    took: list[float] = []
    for _ in range(9):
        began = time.perf_counter()
        judge(
            scene.plan,
            scene.readings,
            timeline=scene.timelines[-1],
            canary_release="",
            stable_release="",
            now=scene.moments[-1],
        )
        took.append(time.perf_counter() - began)
    return statistics.median(took)


if __name__ == "__main__":
    for row in measure(int(sys.argv[1]) if len(sys.argv) > 1 else FILES):
        print(f"{row.what}: {row.measured}; wanted {row.wanted}")
