"""The main job on real parts, in under two minutes: a good release goes to 100 %, a bad one is taken back.

It drives the verbs a user types, on the scenery of `stage`.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rollout.cli import charts, driving
from rollout.cli.opening import now, open_service
from rollout.compose import source_of
from rollout.demo.stage import Stage, require, say, stage, stopped, users
from rollout.errors import ROLLED_BACK
from rollout.report import html

RELEASES: Final = {
    "v1": {"FAIL_HTTP": "0.002", "FAIL_LLM": "0.01"},
    "v2": {"FAIL_HTTP": "0.002", "FAIL_LLM": "0.01"},
    "v3": {"FAIL_HTTP": "0.05", "FAIL_LLM": "0.2"},
}
"""The stable release, a good one that follows it, and a bad one after that."""
RPS: Final = 120
USERS: Final = 400


def demo(*, directory: Path | None, report: Path, plain: bool) -> int:
    """Run both releases; 0 only if the good one was promoted and the bad one rolled back."""
    require()
    began = time.monotonic()
    with ExitStack() as stack:
        scenery = stack.enter_context(stage(RELEASES, directory=directory, changes={}))
        say("the first release, v1, becomes stable: there is nothing to compare it with")
        first = _release(scenery, "v1", plain=True)
        people = stack.enter_context(users(scenery.url, number=USERS, rps=RPS))
        say(f"{USERS} users send {RPS} requests a second and keep their version")
        say("v2 is a good release")
        good = _release(scenery, "v2", plain=plain)
        sections = [_section(scenery, "A good release")]
        say("v3 is a bad one: 5 % of requests and 20 % of model calls fail")
        bad = _release(scenery, "v3", plain=plain)
        sections.append(_section(scenery, "A bad release"))
        met = stopped(people)
        report.write_text(html.page(sections, now()), encoding="utf-8")
    return _verdict(
        {"v1": (first, 0), "v2": (good, 0), "v3": (bad, ROLLED_BACK)},
        met=met,
        report=report,
        took=time.monotonic() - began,
    )


def _release(scenery: Stage, tag: str, *, plain: bool) -> int:
    """`rollout run TAG`, as a user types it; its exit code."""
    return driving.run(scenery.call("run", tag=tag, plain=plain, html=None, again=False))


def _section(scenery: Stage, title: str) -> html.Section:
    opened = open_service(scenery.call("status"))
    record, state = opened.read()
    assert state is not None
    return charts.section(record, state, source_of(opened.configuration), title=title)


def _verdict(ends: dict[str, tuple[int, int]], *, met: dict[str, object], report: Path, took: float) -> int:
    print()
    for tag, (came, expected) in ends.items():
        end = {0: "promoted", ROLLED_BACK: "rolled back"}.get(came, f"ended with {came}")
        print(f"{tag}: {end}{'' if came == expected else ', which is WRONG'}")
    print(f"users: {json.dumps(met)}")
    print(f"report: {report.resolve()}")
    print(f"took {took:.0f} s, nothing is left running")
    return 0 if all(came == expected for came, expected in ends.values()) else 1
