"""How long new users still meet the canary after the decision to roll back."""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from benchmarks.stage import PATH, Parts, Row, Stage, gateway
from rollout.core.plan import Weight

RUNS: Final = 20
ASKERS: Final = 4
BEFORE_S: Final = 0.3
AFTER_S: Final = 1.0


@dataclass(slots=True)
class Asker:
    """Asks as a new user each time: a new connection, no cookie."""

    port: int
    release: str
    met: list[tuple[float, float]] = field(default_factory=list)
    """When each request that the canary answered began and ended, by the monotonic clock."""
    asked: int = 0

    def ask_until(self, stop: threading.Event) -> None:
        while not stop.is_set():
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", PATH, headers={"Connection": "close"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            self.asked += 1
            if answer.headers["X-Release"] == self.release:
                self.met.append((began, time.monotonic()))


def measure(parts: Parts) -> Iterator[Row]:
    """Both ways, at a weight of 50 %."""
    for njs, wanted in ((True, "seconds"), (False, "")):
        with gateway(parts, njs=njs) as stage:
            runs = [_once(stage, parts) for _ in range(RUNS)]
        last, returned = zip(*runs, strict=True)
        way = "njs" if njs else "reload, for comparison"
        yield Row(
            what=f"from the decision to the canary's last answer to a new request, {RUNS} rollbacks ({way})",
            measured=f"median {_ms(statistics.median(last))}, worst {_ms(max(last))}",
            wanted=wanted,
        )
        yield Row(
            what=f"from the decision to the gateway's confirmation ({way})",
            measured=f"median {_ms(statistics.median(returned))}, worst {_ms(max(returned))}",
        )


def _once(stage: Stage, parts: Parts) -> tuple[float, float]:
    """Seconds from the order until the last answer of the canary to a request begun after it, and until it returned."""
    stage.target.move(Weight(50))
    stop = threading.Event()
    askers = [Asker(port=stage.port, release=parts.canary.tag) for _ in range(ASKERS)]
    threads = [threading.Thread(target=asker.ask_until, args=(stop,)) for asker in askers]
    for thread in threads:
        thread.start()
    time.sleep(BEFORE_S)
    decided = time.monotonic()
    stage.target.roll_back(rollout="2-v2")
    returned = time.monotonic() - decided
    time.sleep(AFTER_S)
    stop.set()
    for thread in threads:
        thread.join()
    met = [span for asker in askers for span in asker.met]
    if not met:
        raise RuntimeError("nobody met the canary before the rollback: there is nothing to measure")
    return max((ended - decided for began, ended in met if began >= decided), default=0.0), returned


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
