"""What a rollout in GitHub Actions asks of GitHub, and how long an order in a comment takes to reach the gateway.

GitHub is the double of the tests on its socket, which knows what counts against the limit; the machine, its users and
the time are simulated. So requests are counted, and seconds are those of waiting: the time that GitHub itself takes for
an answer comes on top. Usage: `python -m benchmarks.github`, which also prints the requests by kind.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.stage import Row
from rollout.core.plan import NOTHING
from tests.engine.simulation import NOON, World
from tests.github.jobs import CONFIGURATION, Site
from tests.github.server import GitHubServer

GUIDE: Final = """\
service: chat
image: example/chat
target:
  nginx: { include: /etc/nginx/rollout.d/chat.conf, listen: "127.0.0.1:8080", container: { port: 3210 } }
metrics:
  prometheus: { url: "http://127.0.0.1:9090" }
steps:
  - { weight: 0,   soak: 5m }
  - { weight: 1,   soak: 30m }
  - { weight: 5,   soak: 15m }
  - { weight: 10,  soak: 15m }
  - { weight: 25,  soak: 15m }
  - { weight: 50,  soak: 15m, approve: true }
  - { weight: 100, soak: 30m }
gates:
  - name: http 5xx
    failures: 'http_requests_total{version="$version", code="500"}'
    total: 'http_requests_total{version="$version"}'
    max: 2%
"""
"""The steps of the built-in policy, with one gate: the simulated world has one metric."""
_NAMES: Final = re.compile(r"[0-9a-f]{40}|\b\d+\b|heads/\S+|refs/\S+|rollouts/\S+|v\d\S*|collaborators/\w+")
ABORTS: Final = 20
INSTALL: Final = Path(__file__).parents[1] / ".github" / "install.sh"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The requests of one rollout."""

    counted: int
    free: int
    by: tuple[tuple[str, int], ...]
    lasted: timedelta


@contextlib.contextmanager
def site_of(text: str) -> Iterator[Site]:
    """A service whose v1 serves users, with this rollout.yml."""
    with tempfile.TemporaryDirectory(prefix="rollout-github-") as name:
        folder = Path(name)
        world = World(folder / "journal").has("v1")
        with GitHubServer(folder, clock=lambda: world.now) as github, contextlib.redirect_stdout(io.StringIO()):
            github.commit({"rollout.yml": text}, "Configure the rollout")
            github.tag("v1")
            yield Site(github, world, folder / "jobs")


def whole(pacing: str) -> Asked:
    """A healthy release over the whole policy, with one approval in a comment."""
    with site_of(f"{GUIDE}github: {{ pacing: {pacing} }}\n") as site:
        number = site.release("v2")
        site.github.requests.clear()
        site.world.at(100 * 60, lambda: site.comment(number, "/rollout approve"))
        ran = site.push("v2")
        while ran.outputs["outcome"] == "under-way":
            site.world.advance(timedelta(minutes=5))
            ran = site.tick()
        assert ran.outputs["outcome"] == "promoted", ran
        counted = [one for one in site.github.requests if not one.free]
        kinds = Counter(f"{one.verb} {_NAMES.sub('…', one.path)}" for one in counted)
        free = len(site.github.requests) - len(counted)
        return Asked(counted=len(counted), free=free, by=tuple(kinds.most_common()), lasted=site.world.now - NOON)


def aborts() -> list[float]:
    """Seconds from a comment to weight 0 at the gateway, while another run holds; the comments come at odd moments."""
    took: list[float] = []
    for number in range(ABORTS):
        with site_of(CONFIGURATION.format(approve="", more="")) as site:
            pull = site.release("v2")
            said: list[datetime] = []

            def abort(site: Site = site, pull: int = pull, said: list[datetime] = said) -> None:
                said.append(site.world.now)
                site.comment(pull, "/rollout abort")

            site.world.at(40 + 11.3 * number, abort)
            site.push("v2")
            back = next(at for at, weight, _ in site.world.served if at >= said[0] and weight == NOTHING)
            took.append((back - said[0]).total_seconds())
    return took


def starts() -> Iterator[Row]:
    """What a job takes before its first decision: the action's installation, and the program up to "nothing to do"."""
    with tempfile.TemporaryDirectory(prefix="rollout-action-") as name:
        folder = Path(name)
        (folder / "output").touch()
        plain = os.pathsep.join(one for one in os.environ["PATH"].split(os.pathsep) if not (Path(one) / "uv").exists())
        env = {
            "PATH": plain,
            "HOME": name,
            "PYTHON": sys.executable,
            "RUNNER_TEMP": name,
            "GITHUB_OUTPUT": str(folder / "output"),
        }
        took = [_seconds([str(INSTALL)], env) for _ in range(2)]
        python = (folder / "output").read_text().splitlines()[-1].partition("=")[2]
        with site_of(GUIDE) as site:
            variables = site.github.variables("schedule", site.github.schedule_event(), folder / "job")
            program = [_seconds([python, "-I", "-m", "rollout", "run"], {**env, **variables}) for _ in range(5)]
    yield Row(
        what="the action's installation by pip, on a machine that has never seen it / again",
        measured=f"{took[0]:.1f} s / {took[1]:.2f} s",
    )
    yield Row(
        what="the action's program from its start to its first decision (a tick with nothing to do), median of 5",
        measured=f"{statistics.median(program):.2f} s",
    )


def _seconds(command: list[str], env: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=300)
    return time.perf_counter() - began


def measure() -> Iterator[Row]:
    """The rows of the table."""
    yield from starts()
    for pacing in ("hold", "wake"):
        asked = whole(pacing)
        minutes = asked.lasted.total_seconds() / 60
        yield Row(
            what=f"requests to GitHub over the built-in policy, `pacing: {pacing}`, one approval by comment",
            measured=f"{asked.counted} counted, {asked.free:,} free (304), in {minutes:.0f} min",
            wanted="under 300 counted" if pacing == "hold" else "",
        )
    took = aborts()
    yield Row(
        what=f"from an abort in a comment to weight 0 while another run holds, {ABORTS} aborts (waiting only)",
        measured=f"median {statistics.median(took):.1f} s, worst {max(took):.1f} s",
        wanted="at most 20 s",
    )


if __name__ == "__main__":
    for row in measure():
        print(f"{row.what}: {row.measured}; wanted {row.wanted or '-'}")
    for kind, count in whole("hold").by:
        print(f"{count:5} {kind}")
