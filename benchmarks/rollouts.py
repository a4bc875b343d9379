"""Whole rollouts on real parts: how fast a dead release is gone, what a tick costs, what a run weighs.

What users met is read from the gateway's own access log, not from what the program says of itself.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.stage import Row
from rollout.cli import driving
from rollout.demo.stage import Stage, stage, users
from rollout.errors import ROLLED_BACK

RELEASES: Final[Mapping[str, Mapping[str, str]]] = {
    "v1": {"FAIL_HTTP": "0.002"},
    "v2": {"FAIL_HTTP": "0.002"},
    "dead": {"FAIL_HTTP": "1"},
}
CHANGES: Final = {
    "checks": [{"name": "health", "http": {"path": "/api/health"}}],
    "steps": [{"weight": 0, "soak": "8s"}, *({"weight": weight, "soak": "6s"} for weight in (5, 25, 50, 100))],
}
"""The dead release passes its checks, so that users meet it. Prometheus takes up to 5 s to find a new target, so the
step at 0 % is longer than that, as it is in the built-in policy."""
RUNS: Final = 10
RPS: Final = 200
TICKS: Final = 20
SCRAPE_S: Final = 1.0


def measure() -> Iterator[Row]:
    """Rows of the table. The dead release answers every request with 500 as soon as users come, at 5 %."""
    with stage(RELEASES, directory=None, changes=CHANGES) as scenery:
        _release(scenery, "v1")
        with users(scenery.url, number=400, rps=RPS):
            yield _memory(scenery, "v2")
            yield from _cold_start(scenery)
            yield from _detection(scenery)


def _detection(scenery: Stage) -> Iterator[Row]:
    spans: list[float] = []
    failed: list[int] = []
    for _ in range(RUNS):
        began = time.time()
        code = _release(scenery, "dead")
        assert code == ROLLED_BACK, f"the dead release ended with {code}"
        moments = [at for at in _canary_failures(scenery.access_log) if at >= began]
        spans.append(moments[-1] - moments[0])
        failed.append(len(moments))
    wanted = f"at most {2 * SCRAPE_S + 1:g} s"
    yield Row(
        what=f"first failing request to last user served: 100 % failing, 5 % of {RPS}/s, scrape 1 s, {RUNS} runs",
        measured=f"median {statistics.median(spans):.2f} s, worst {max(spans):.2f} s; "
        f"median {statistics.median(failed):.0f} failed requests, worst {max(failed)}",
        wanted=wanted,
    )


def _canary_failures(log: Path) -> list[float]:
    """When the canary answered (or failed to), in seconds; whoever asked."""
    moments: list[float] = []
    for text in log.read_text().splitlines():
        line = json.loads(text)
        if line["version"] == "canary" and line["upstream_status"].startswith("5"):
            moments.append(float(line["ts"]))
    return moments


def _release(scenery: Stage, tag: str) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return driving.run(scenery.call("run", tag=tag, plain=True, html=None, again=False))


def _memory(scenery: Stage, tag: str) -> Row:
    """The highest resident memory of `rollout run` as a process of its own."""
    child = subprocess.Popen([*_command(scenery, "run"), "--plain", tag], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"the good release ended with {child.returncode}"
    return Row(
        what="peak memory of `rollout run` over a whole rollout",
        measured=f"{usage.ru_maxrss / 1024:.0f} MB",
        wanted="under 120 MB",
    )


def _cold_start(scenery: Stage) -> Iterator[Row]:
    """`rollout tick` on a journal that is finished, as a fresh process with compiled modules."""
    with tempfile.TemporaryDirectory(prefix="rollout-bytecode-") as cache:
        env = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        command = _command(scenery, "tick")
        imports = [sys.executable, "-c", "import rollout.__main__, rollout.cli.driving"]
        whole = _median(command, env)
        loaded = _median(imports, env)
        bare = _median([sys.executable, "-c", "pass"], env)
    share = (loaded - bare) / whole
    yield Row(
        what=f"cold start of `rollout tick` on a finished journal, median of {TICKS}",
        measured=f"{whole:.2f} s, of it {share:.0%} imports and {bare / whole:.0%} the bare interpreter",
        wanted="under 0.5 s",
    )


def _median(command: list[str], env: Mapping[str, str]) -> float:
    spans: list[float] = []
    for _ in range(TICKS + 1):
        began = time.perf_counter()
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        spans.append(time.perf_counter() - began)
    return statistics.median(spans[1:])


def _command(scenery: Stage, verb: str) -> list[str]:
    options = ["--config", str(scenery.config), "--journal", str(scenery.journal)]
    return [sys.executable, "-m", "rollout", verb, *options]
