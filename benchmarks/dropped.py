"""How many requests are lost while the weight changes a hundred times under keep-alive load from wrk."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.stage import PATH, Parts, Row, Stage, gateway
from rollout.core.plan import Weight
from rollout.demo.processes import find_program
from rollout.errors import MissingProgram

CHANGES: Final = 100
CHANGES_BY_RELOAD: Final = 20
SPREAD_S: Final = 45.0
"""Over how long the changes are spread: enough for 100,000 requests on a small machine."""
LONGEST_S: Final = 600
CONNECTIONS: Final = 64
WEIGHTS: Final = (1, 5, 10, 25, 50, 75, 50, 25, 10, 5)


def measure(parts: Parts) -> Iterator[Row]:
    """Both ways a weight changes: through njs, and by a reload."""
    ways = ((True, CHANGES, "njs", "0 of at least 100,000"), (False, CHANGES_BY_RELOAD, "reload, for comparison", ""))
    for njs, changes, way, wanted in ways:
        with gateway(parts, njs=njs) as stage:
            output = _load_with_changes(stage, changes)
        requests, lost, refused = _counts(output)
        yield Row(
            what=f"requests dropped, wrk with {CONNECTIONS} keep-alive connections, {changes} weight changes ({way})",
            measured=f"{lost} of {requests:,} cut off, {refused} answered with an error",
            wanted=wanted,
        )


def _load_with_changes(stage: Stage, changes: int) -> str:
    """What wrk prints of a load that begins before the first change and ends after the last."""
    wrk = find_program("wrk")
    if wrk is None:
        raise MissingProgram("wrk is not installed", hint="install the package wrk, or run `make bench`")
    url = f"http://127.0.0.1:{stage.port}{PATH}"
    argv = [str(wrk), "-t", "1", "-c", str(CONNECTIONS), "-d", f"{LONGEST_S}s", "--timeout", "10s", url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as load:
        try:
            began = time.monotonic()
            for number in range(changes):
                due = began + 1 + number * SPREAD_S / changes
                time.sleep(max(0.0, due - time.monotonic()))
                stage.target.move(Weight(WEIGHTS[number % len(WEIGHTS)]))
            time.sleep(1)
        finally:
            load.send_signal(signal.SIGINT)  # wrk ends and reports
        output: str = load.communicate(timeout=30)[0]
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
