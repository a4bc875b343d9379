"""The main job as a user has it: the workflow of an example under a runner, on real nginx, containers and users.

The tests tell one story after the other on the same machine. Only rollout.yml is another one: its soaks are
seconds, and its addresses those of this machine.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rollout.core.events import Interrupted, Promoted, RolledBack, Started, WeightSeen
from rollout.demo import parts
from rollout.demo.processes import wait_until
from rollout.demo.run import RELEASES
from rollout.demo.stage import NEEDED, stage, users
from tests.action.runner import ROOT, Runner
from tests.action.site import Site
from tests.github.server import GitHubServer

LACKING = [one.program for one in parts.missing() if one.program in NEEDED]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(LACKING), reason=f"not installed here: {', '.join(LACKING)}"),
]

GOOD = RELEASES["v2"]
REF = "refs/rollouts/chat/demo"
FOLLOWED_WITHIN = timedelta(seconds=20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("act")
    with (
        stage({"v1": GOOD, "v2": GOOD, "v3": GOOD}, directory=None, changes={}) as scenery,
        users(scenery.url, number=200, rps=80),
        GitHubServer(folder) as github,
    ):
        example, config = ROOT / "examples/nginx-minimal", scenery.config.read_text()
        yield Site(github, Runner(github, folder), example=example, config=config, ref=REF)


def test_the_first_tag_becomes_the_stable_release(site: Site) -> None:
    site.github.tag("v1")
    ran = site.runner.run("push", site.github.push_tag_event("v1"))
    assert ran.code == 0, ran.text
    assert (ran.outputs["outcome"], ran.outputs["release"], ran.outputs["rollout-id"]) == ("promoted", "v1", "1-v1")


def test_a_run_that_dies_is_taken_over_by_the_next_and_nothing_is_done_twice(site: Site) -> None:
    """First told to stop, as when somebody cancels it; then killed without a word."""
    number = site.release("v2")
    with site.runner.started("push", site.github.push_tag_event("v2")) as first:
        wait_until(lambda: site.seen("v2") >= 5, deadline_s=90, what="the first users are on v2")
        program = first.program()
        assert program is not None
        os.kill(program, signal.SIGINT)
        assert first.end().outputs["outcome"] == "interrupted"
    assert any(isinstance(event, Interrupted) for event in site.events())
    with site.runner.started("schedule", site.github.schedule_event()) as second:
        wait_until(lambda: site.seen("v2") >= 25, deadline_s=90, what="the second run has moved on")
        second.kill()
    held = site.runner.run("schedule", site.github.schedule_event())
    assert (held.code, held.outputs["outcome"]) == (0, "held")
    site.let_the_lease_expire()
    third = site.runner.run("schedule", site.github.schedule_event())
    assert third.code == 0, third.text
    assert third.outputs["outcome"] == "promoted"
    events = site.events()
    assert sum(isinstance(event, Started) for event in events) == 1
    assert sum(isinstance(event, Promoted) for event in events) == 1
    weights = [event.weight.percent for event in events if isinstance(event, WeightSeen)]
    assert weights == sorted(weights)
    status = site.bodies(number, "status")
    assert len(status) == 1


def test_a_comment_aborts_a_run_that_holds(site: Site) -> None:
    number = site.release("v3")
    with site.runner.started("push", site.github.push_tag_event("v3")) as driving:
        wait_until(lambda: site.seen("v3") >= 5, deadline_s=90, what="the first users are on v3")
        given = datetime.now(UTC)
        order = site.runner.run("issue_comment", site.github.comment(number, "ada", "/rollout abort"))
        assert order.outputs["outcome"] == "ordered", order.text
        ran = driving.end(within_s=60)
    assert ran.code != 0, "a job that did not promote is red"
    assert ran.outputs["outcome"] == "rolled-back"
    (back,) = [event.at for event in site.events() if isinstance(event, RolledBack)]
    assert back - given < FOLLOWED_WITHIN
    assert site.bodies(number, "rolled_back")
