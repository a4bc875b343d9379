"""A healthy canary while the real Prometheus is stopped for two minutes: what the rollout does, says, and ends with."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Final

import yaml

from benchmarks.stage import Row
from rollout.demo import parts
from rollout.demo.stage import SCRAPE, Stage, stage, users

RELEASES: Final = {"v1": {"FAIL_HTTP": "0.002"}, "v2": {"FAIL_HTTP": "0.002"}}
CHANGES: Final = {
    "steps": [{"weight": 0, "soak": "8s"}, *({"weight": weight, "soak": "8s"} for weight in (5, 25, 50, 100))],
}
AWAY: Final = timedelta(minutes=2)
WEIGHT: Final = 25
RPS: Final = 200


def measure() -> Iterator[Row]:
    """One row. Prometheus ends by SIGTERM at 25 %, and begins again on its data after two minutes."""
    with stage(RELEASES, directory=None, changes=CHANGES) as scenery, ExitStack() as stack:
        home, port = scenery.config.parent, parts.free_port()
        configuration = yaml.safe_load(scenery.config.read_text())
        configuration["metrics"] = {"prometheus": {"url": f"http://127.0.0.1:{port}"}}
        scenery.config.write_text(yaml.safe_dump(configuration, sort_keys=False))

        def monitoring() -> ExitStack:
            running = ExitStack()
            running.enter_context(
                parts.prometheus(
                    home / "monitoring", file_sd=home / "state" / "targets.json", interval=SCRAPE, port=port
                )
            )
            return stack.enter_context(running)

        prometheus = monitoring()
        assert _run(scenery, "v1").wait() == 0
        with users(scenery.url, number=400, rps=RPS):
            child = _run(scenery, "v2")
            _await_weight(scenery)
            prometheus.close()
            stopped = time.monotonic()
            weights: set[float] = set()
            verdicts: list[str] = []
            while time.monotonic() - stopped < AWAY.total_seconds():
                seen = _status(scenery)
                weights.add(float(seen["weight"]))
                verdicts.append(str(seen["verdict"]))
                time.sleep(1)  # a look a second, as a person watching takes it: the rollout is another process
            said = str(_status(scenery)["reason"])
            monitoring()
            code = child.wait()
    blind = verdicts.count("blind") / len(verdicts)
    yield Row(
        what="Prometheus stopped for 2 minutes under a healthy canary at 25 %",
        measured=f"{'promoted' if code == 0 else f'exit code {code}'}; weights served meanwhile: "
        f"{', '.join(f'{weight:g} %' for weight in sorted(weights))}; the verdict was blind in {blind:.0%} of the "
        f'looks ("{said}")',
        wanted="0 rollbacks, the weight held, said so",
    )


def _run(scenery: Stage, tag: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*_command(scenery, "run"), "--plain", tag], stdout=subprocess.DEVNULL)


def _await_weight(scenery: Stage) -> None:
    while float(_status(scenery).get("weight") or 0) != WEIGHT:
        time.sleep(0.5)  # the rollout is another process, and its status is only there to be asked for


def _status(scenery: Stage) -> dict[str, Any]:
    """What `rollout status --json` says; nothing before the rollout has begun."""
    shown = subprocess.run([*_command(scenery, "status"), "--json"], check=False, capture_output=True, text=True)
    return dict(json.loads(shown.stdout)) if shown.returncode == 0 else {}


def _command(scenery: Stage, verb: str) -> list[str]:
    options = ["--config", str(scenery.config), "--journal", str(scenery.journal)]
    return [sys.executable, "-m", "rollout", verb, *options]
