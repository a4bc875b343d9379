"""The action as a runner sees it: the example workflows, unchanged, under act and on the tests' GitHub."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.demo.processes import wait_until
from tests.action.runner import ROOT, WORKFLOW, Runner
from tests.github.server import GitHubServer

pytestmark = pytest.mark.real

EXAMPLES = ("nginx-minimal", "nginx-wake", "nginx-complete")
SECRETS = dict.fromkeys(("SLACK_WEBHOOK", "PAGER_WEBHOOK"), "https://hooks.example.com/x")


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHubServer]:
    """A GitHub on the clock of this machine, as the action runs in processes of its own."""
    with GitHubServer(tmp_path) as github:
        yield github


@pytest.fixture
def runner(github: GitHubServer, tmp_path: Path) -> Runner:
    return Runner(github, tmp_path)


def example(github: GitHubServer, name: str) -> None:
    """Commit the files of an example as a user does."""
    folder = ROOT / "examples" / name
    names = ("rollout.yml", str(WORKFLOW))
    github.commit({name: (folder / name).read_text() for name in names}, "Add rollout")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_tick_without_a_rollout_is_green(name: str, github: GitHubServer, runner: Runner) -> None:
    """The watchdog looks, finds nothing under way, and nothing but that job runs."""
    example(github, name)
    ran = runner.run("schedule", github.schedule_event(), SECRETS)
    assert ran.code == 0, ran.text
    assert ran.outputs["outcome"] == "nothing"
    assert {"Order", "Wake", "After a promotion"}.isdisjoint(jobs_of(ran.text))
    assert github.token not in ran.text


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_comment_runs_the_job_for_orders_alone(name: str, github: GitHubServer, runner: Runner) -> None:
    example(github, name)
    number = github.open_pull("Answer faster")
    ran = runner.run("issue_comment", github.comment(number, "ada", "/rollout status"))
    assert ran.code == 0, ran.text
    assert jobs_of(ran.text) == {"Order"}
    assert github.facts.reactions


def test_a_comment_that_is_no_order_starts_no_runner(github: GitHubServer, runner: Runner) -> None:
    example(github, "nginx-minimal")
    ran = runner.run("issue_comment", github.comment(github.open_pull("Answer faster"), "ada", "Nice work"))
    assert ran.code == 0
    assert jobs_of(ran.text) == set()
    assert github.count() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_signal_of_a_cancelled_job_reaches_python(
    number: signal.Signals, github: GitHubServer, runner: Runner
) -> None:
    """GitHub's runner signals the process that it started, and that one alone: it has to be Python, and no shell."""
    example(github, "nginx-minimal")
    meeting = github.barrier("contents/rollout.yml")  # the answer waits for a second request, which nobody makes
    with runner.started("schedule", github.schedule_event()) as running:
        wait_until(lambda: meeting.barrier.n_waiting > 0, deadline_s=60, what="rollout.yml has been asked for")
        program = running.program()
        assert program is not None, "the process that the runner started is no Python"
        os.kill(program, number)
        ran = running.end()
        meeting.barrier.abort()
    assert ran.outputs["outcome"] == "interrupted"
    assert f"told to stop ({number.name})" in ran.text
    assert ran.code == 1


def jobs_of(text: str) -> set[str]:
    """The names of the jobs in which a step ran."""
    lines = [line for line in text.splitlines() if "⭐ Run Main" in line]
    return {line.partition("/")[2].partition("]")[0].strip() for line in lines}
