"""How many requests are lost while the weight changes a hundred times under keep-alive load from wrk."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.stage import PATH, Parts, Row, Stage, gateway
from rollout.core.plan import Weight
from rollout.demo.processes import find_program
from rollout.errors import MissingProgram

CHANGES: Final = 100
SECONDS: Final = 50
CONNECTIONS: Final = 64
WEIGHTS: Final = (1, 5, 10, 25, 50, 75, 50, 25, 10, 5)


def measure(parts: Parts) -> Iterator[Row]:
    """Both ways a weight changes: through njs, and by a reload."""
    for njs, wanted in ((True, "0 of at least 100,000"), (False, "")):
        with gateway(parts, njs=njs) as stage:
            output = _load_with_changes(stage)
        requests, lost, refused = _counts(output)
        way = "njs" if njs else "reload, for comparison"
        yield Row(
            what=f"requests dropped by wrk with {CONNECTIONS} keep-alive connections, {CHANGES} weight changes ({way})",
            measured=f"{lost} of {requests:,} cut off, {refused} answered with an error",
            wanted=wanted,
        )


def _load_with_changes(stage: Stage) -> str:
    wrk = find_program("wrk")
    if wrk is None:
        raise MissingProgram("wrk is not installed", hint="install the package wrk, or run `make bench`")
    url = f"http://127.0.0.1:{stage.port}{PATH}"
    argv = [wrk, "-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "--timeout", "10s", url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as load:
        began = time.monotonic()
        for number in range(CHANGES):
            due = began + 1 + number * (SECONDS - 5) / CHANGES
            time.sleep(max(0.0, due - time.monotonic()))
            stage.target.move(Weight(WEIGHTS[number % len(WEIGHTS)]))
        if load.poll() is not None:
            raise RuntimeError("the load ended before the last change: this machine is too slow for the measurement")
        output, _ = load.communicate(timeout=SECONDS + 30)
    return output


def _counts(output: str) -> tuple[int, int, int]:
    """Answers, connections that broke, and answers that were neither 2xx nor 3xx, from what wrk prints."""
    requests = re.search(r"(\d+) requests in", output)
    if requests is None:
        raise RuntimeError(f"wrk did not report: {output!r}")
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return (
        int(requests[1]),
        sum(map(int, broken.groups())) if broken else 0,
        int(refused[1]) if refused else 0,
    )
