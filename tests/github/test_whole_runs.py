"""Whole rollouts in GitHub Actions, told as stories: a tag, a timer, comments, and runners that go away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from rollout import engine
from rollout.core.plan import NOTHING
from rollout.errors import Interruption
from rollout.journals.git_ref import GitRefJournal
from tests.engine.simulation import NOON, Killed, Life, World
from tests.github.jobs import CONFIGURATION, Ran, Site
from tests.github.server import GitHubServer
from tests.serving import Quiet, serving


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A service whose v1 serves users, and a repository that knows how to release it."""
    world = World(tmp_path / "journal").has("v1")
    with GitHubServer(tmp_path, clock=lambda: world.now) as github:
        site = Site(github, world, tmp_path / "jobs")
        site.configure()
        github.tag("v1")
        yield site


def test_a_pushed_tag_becomes_the_stable_release(site: Site) -> None:
    number = site.release("v2")
    ran = site.push("v2")
    assert (ran.code, ran.outputs["outcome"], ran.outputs["release"]) == (0, "promoted", "v2")
    assert site.world.tags()[0] == "v2"
    status, finished = site.bodies(number)
    assert "v2" in status
    assert "v2" in finished
    assert ran.summary


def test_a_bad_release_goes_back_and_the_job_is_red(site: Site) -> None:
    site.world.failing["v2"] = 0.2
    number = site.release("v2")
    ran = site.push("v2")
    assert (ran.code, ran.outputs["outcome"], ran.outputs["reason"]) == (3, "rolled-back", "unhealthy")
    assert site.world.tags()[0] == "v1"
    assert site.world.gateway == NOTHING
    assert len(site.bodies(number)) == 2
    states = [one.state for one in site.github.facts.statuses.values()]
    assert states[-1] == "failure"


def test_an_abort_in_a_comment_is_followed_within_twenty_seconds_while_another_run_holds(site: Site) -> None:
    number = site.release("v2")
    said: list[datetime] = []

    def aborts() -> None:
        said.append(site.world.now)
        assert site.comment(number, "/rollout abort").outputs["outcome"] == "ordered"

    site.world.at(60, aborts)
    ran = site.push("v2")
    assert (ran.code, ran.outputs["reason"]) == (3, "ordered")
    back = next(at for at, weight, _ in site.world.served if at > said[0] and weight == NOTHING)
    assert back - said[0] <= timedelta(seconds=20)
    assert site.reactions() == ["eyes", "rocket"]
    assert "@ada" not in site.bodies(number)[0]  # who ordered it is named, and not called


def test_an_approval_is_asked_for_once_and_given_in_a_comment(site: Site) -> None:
    site.configure(approve=True)
    number = site.release("v2")
    site.world.at(15 * 60, lambda: site.comment(number, "/rollout approve"))
    assert site.push("v2").outputs["outcome"] == "promoted"
    assert sum("kind=approval-2 " in body for body in site.bodies(number)) == 1
    assert site.world.now - NOON > timedelta(minutes=15)


@pytest.mark.parametrize("login", ["reader", "stranger"])
def test_who_may_not_write_may_not_steer(site: Site, login: str) -> None:
    site.github.person("reader", "read")
    number = site.release("v2")
    site.world.at(60, lambda: site.comment(number, "/rollout abort", login))
    assert site.push("v2").outputs["outcome"] == "promoted"
    assert site.reactions() == ["-1"]


def test_an_order_that_came_too_late_is_refused_and_the_comment_says_why(site: Site) -> None:
    number = site.release("v2")
    event = site.github.comment(number, "ada", "/rollout promote")
    site.world.at(200, lambda: site.job("issue_comment", event))
    site.push("v2")
    assert site.world.weights()[:3] == [5.0, 50.0, 100.0]
    assert "the order was written before" in site.bodies(number)[0]
    assert site.reactions() == ["eyes", "-1"]


def test_from_another_pull_request_an_order_must_name_the_release(site: Site) -> None:
    elsewhere = site.github.open_pull("Something else")
    number = site.release("v2")
    site.world.at(50, lambda: site.comment(elsewhere, "/rollout abort"))
    site.world.at(90, lambda: site.comment(elsewhere, "/rollout abort v2"))
    ran = site.push("v2")
    assert ran.outputs["reason"] == "ordered"
    assert site.world.now - NOON > timedelta(seconds=90)
    assert "name its release" in "".join(site.bodies(elsewhere))
    assert number


def test_the_author_of_a_release_may_be_barred_from_approving_it(site: Site) -> None:
    site.configure(approve=True, more="github: { author_approves: false }\n")
    site.github.person("bob", "write")
    number = site.release("v2")
    site.world.at(900, lambda: site.comment(number, "/rollout approve", "ada"))
    site.world.at(1200, lambda: site.comment(number, "/rollout approve", "bob"))
    assert site.push("v2").outputs["outcome"] == "promoted"
    assert site.world.now - NOON > timedelta(seconds=1200)


def test_only_approvers_let_it_move_on_and_everybody_who_writes_may_stop_it(site: Site) -> None:
    site.configure(approve=True, more="github: { approvers: [carol] }\n")
    site.github.person("carol", "write")
    number = site.release("v2")
    site.world.at(900, lambda: site.comment(number, "/rollout approve", "ada"))
    site.world.at(1200, lambda: site.comment(number, "/rollout abort", "ada"))
    ran = site.push("v2")
    assert ran.outputs["reason"] == "ordered"
    assert site.reactions() == ["eyes", "-1", "eyes", "rocket"]
    assert any("It may be approved by <code>carol</code>." in body for body in site.bodies(number))


def test_a_newer_release_waits_for_the_end_of_the_one_under_way(site: Site) -> None:
    site.release("v2")
    site.release("v3", "Answer better")
    later: list[Ran] = []
    site.world.at(100, lambda: later.append(site.push("v3")))
    ran = site.push("v2")
    assert later[0].outputs["outcome"] == "queued"
    assert ran.outputs["release"] == "v3"
    assert site.world.tags()[0] == "v3"
    assert site.world.saw("v2", after=NOON)


def test_a_newer_release_may_replace_the_one_under_way_and_goes_through_stable(site: Site) -> None:
    site.configure(more="supersede: replace\n")
    site.release("v2")
    site.release("v3", "Answer better")
    site.world.at(100, lambda: site.push("v3"))
    ran = site.push("v2")
    assert (ran.outputs["release"], ran.outputs["outcome"]) == ("v3", "promoted")
    assert site.world.weights()[:3] == [5.0, 0.0, 5.0]


def test_a_newer_release_may_be_refused(site: Site) -> None:
    site.configure(more="supersede: refuse\n")
    site.release("v2")
    site.release("v3", "Answer better")
    later: list[Ran] = []
    site.world.at(100, lambda: later.append(site.push("v3")))
    site.push("v2")
    assert (later[0].code, later[0].outputs["reason"]) == (5, "refused")
    assert site.world.tags()[0] == "v2"


def test_a_run_that_is_killed_is_taken_over_by_the_watchdog_once_its_lease_has_ended(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = site.release("v2")
    site.life = lambda: Life(ends_at=20)
    with monkeypatch.context() as killed:
        killed.setattr(GitRefJournal, "release", lambda _journal, _owner: None)  # the dead give nothing back
        with pytest.raises(Killed):
            site.push("v2")
    site.life = Life
    assert site.tick().outputs["outcome"] == "held"
    site.world.advance(engine.LEASE)
    assert site.tick().outputs["outcome"] == "promoted"
    assert site.world.created == ["1-v2"]
    assert len(site.bodies(number)) == 2


def test_a_cancelled_run_says_so_and_the_next_one_goes_on_at_once(site: Site) -> None:
    number = site.release("v2")
    site.life = lambda: Life(ends_at=20, by=lambda: Interruption("SIGINT", 2))
    assert site.push("v2").outputs["outcome"] == "interrupted"
    site.life = Life
    assert site.tick().outputs["outcome"] == "promoted"
    assert len(site.bodies(number)) == 2


def test_a_woken_rollout_takes_one_turn_a_job(site: Site) -> None:
    site.configure(more="github: { pacing: wake }\n")
    number = site.release("v2")
    ran = site.push("v2")
    assert (ran.code, ran.outputs["outcome"]) == (0, "under-way")
    turns = 0
    while ran.outputs["outcome"] == "under-way":
        site.world.advance(timedelta(minutes=5))
        ran, turns = site.tick(), turns + 1
    assert ran.outputs["outcome"] == "promoted"
    assert turns <= 5
    assert len(site.bodies(number)) == 2
    assert site.tick().outputs["outcome"] == "nothing"


def test_a_long_rollout_hands_over_before_its_token_ends(site: Site) -> None:
    site.configure(more="patience: 24h\n")
    site.github.commit({"rollout.yml": _stretched(site)}, "Soak for long")
    site.release("v2")
    first = site.push("v2")
    assert first.outputs["outcome"] == "under-way"
    assert site.world.now - NOON < timedelta(hours=6)
    [run] = site.github.facts.runs.values()
    assert run.event == "workflow_dispatch"
    assert site.job("workflow_dispatch", site.github.dispatch_event()).outputs["outcome"] == "promoted"


def _stretched(site: Site) -> str:
    return CONFIGURATION.format(approve="", more="").replace("soak: 2m", "soak: 3h").replace("10s", "10m")


def test_the_configuration_is_that_of_the_release_and_not_of_the_branch(site: Site) -> None:
    site.release("v2")
    site.github.commit({"rollout.yml": _stretched(site)}, "Later, on the branch")
    site.push("v2")
    assert site.world.now - NOON < timedelta(hours=1)


def test_an_outage_of_github_holds_the_rollout_and_it_goes_on_afterwards(site: Site) -> None:
    site.release("v2")
    site.world.at(100, lambda: site.github.fault("", "", status=503, times=60))
    assert site.push("v2").outputs["outcome"] == "promoted"
    assert site.world.tags()[0] == "v2"


def test_a_tag_that_is_released_again_changes_nothing(site: Site) -> None:
    site.release("v2")
    site.push("v2")
    again = site.push("v2")
    assert again.code == 0
    assert site.world.created == ["1-v2"]


def test_a_release_without_a_configuration_says_so_and_waits_for_nothing(site: Site) -> None:
    site.github.commit({"rollout.yml": None}, "Lose it")
    site.release("v2")
    ran = site.push("v2")
    assert (ran.code, ran.outputs["reason"]) == (2, "configuration")


def test_a_release_without_a_pull_request_is_told_on_the_page_of_the_run(site: Site) -> None:
    sha = site.github.commit({"app.py": "print('v2')\n"}, "Straight to main")
    site.github.tag("v2", sha)
    ran = site.push("v2")
    assert ran.outputs["outcome"] == "promoted"
    assert not site.github.facts.comments
    assert "v2" in ran.summary


def test_a_pull_request_that_github_learns_of_late_is_found(site: Site) -> None:
    number = site.release("v2")
    site.github.stale_reads(1, "commits/.*/pulls")
    site.push("v2")
    assert len(site.bodies(number)) == 2


def test_people_are_told_once_each_whoever_drives(site: Site, told: list[str]) -> None:
    site.configure(more=f"notify: ['{told[0]}']\n")
    site.release("v2")
    site.life = lambda: Life(ends_at=20, by=lambda: Interruption("SIGINT", 2))
    site.push("v2")
    site.life = Life
    assert site.tick().outputs["outcome"] == "promoted"
    assert told[1:] == ["started", "promoted"]


@pytest.fixture
def told() -> Iterator[list[str]]:
    """Where to send messages, and then the reason of each that came."""
    reasons: list[str] = []

    class Answers(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reasons.append(message["reason"])
            self.send_response(200)
            self.end_headers()

    with serving(Answers) as port:
        reasons.append(f"http://127.0.0.1:{port}/")
        yield reasons
