"""examples/nginx-complete as a user has it, under a runner: a real Prometheus judges, people approve, others are told.

The tests tell one story after the other on the same machine. What differs from the files of the example is what
`tests.action.machine` puts into rollout.yml and what `tests.action.runner` takes out of the workflow. The addresses of
whom to tell come in as secrets, as they do for a user.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
import requests
import yaml

from rollout.core.events import RolledBack
from rollout.core.state import Phase
from rollout.demo import parts
from rollout.demo.processes import wait_until
from rollout.demo.run import RELEASES
from rollout.demo.stage import NEEDED, users
from tests.action.machine import EXAMPLE, PACE, SERVICE, SOAK, Machine, Mailbox, machine, mailbox, on_this_machine
from tests.action.runner import Ran, Runner
from tests.action.site import Site
from tests.github.server import GitHubServer

LACKING = [one.program for one in parts.missing() if one.program in NEEDED]
real = pytest.mark.real
long = pytest.mark.long
installed = pytest.mark.skipif(bool(LACKING), reason=f"not installed here: {', '.join(LACKING)}")

GOOD = RELEASES["v2"]
BAD = {"FAIL_HTTP": "0.3", "FAIL_LLM": "0.2"}
REF = f"refs/rollouts/{SERVICE}/production"
BETA = "beta.chat.example.com"
ENDS_WITHIN_S = 420
"""A hundred requests on 1 % are more than a minute of this machine's users."""


@dataclass(frozen=True, kw_only=True)
class Town:
    """The repository, the machine, and whom the example tells."""

    site: Site
    machine: Machine
    mail: Mailbox

    @property
    def secrets(self) -> Mapping[str, str]:
        """What the environment `production` of the repository holds."""
        return {"SLACK_WEBHOOK": self.mail.url("people"), "PAGER_WEBHOOK": self.mail.url("pager")}

    def push(self, tag: str) -> Ran:
        """Push a tag that is there, and wait for the end of its run."""
        github = self.site.github
        return self.site.runner.run("push", github.push_tag_event(tag), self.secrets, within_s=ENDS_WITHIN_S)

    def say(self, number: int, login: str, body: str) -> Ran:
        """Comment on a pull request, and wait for the end of the run that reads it."""
        return self.site.runner.run("issue_comment", self.site.github.comment(number, login, body), self.secrets)

    def release_for(self, host: str) -> str:
        """Which release answers somebody who is new and asks for this name."""
        return requests.get(self.machine.url, headers={"Host": host}, timeout=5).headers.get("X-Release", "")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("complete")
    folder.chmod(0o755)
    with (
        machine(folder / "machine", {"v1": GOOD, "v2": GOOD, "v3": BAD}) as running,
        users(running.url, number=1000, rps=150),
        mailbox() as mail,
        GitHubServer(folder) as github,
    ):
        for login in ("octocat", "hubot"):  # the example's approvers
            github.person(login, "write")
        site = Site(github, Runner(github, folder), example=EXAMPLE, config=running.config, ref=REF)
        yield Town(site=site, machine=running, mail=mail)


def test_only_addresses_and_times_are_not_the_examples() -> None:
    """Every key of the example is there, and what is another is one of these."""
    here = on_this_machine(registry="R", target={"include": "I"}, container={"env_file": "E"}, prometheus="P")
    before, after = yaml.safe_load((EXAMPLE / "rollout.yml").read_text()), yaml.safe_load(here)
    assert {**dict.fromkeys(before), **PACE}.keys() == after.keys()
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"image", "target", "metrics", "steps"}
    without_soaks = [{**step, "soak": SOAK} for step in before["steps"]]
    assert after["steps"] == without_soaks


@real
@long
@installed
def test_the_first_tag_becomes_the_stable_release(town: Town) -> None:
    town.site.github.tag("v1")
    ran = town.push("v1")
    assert (ran.code, ran.outputs["outcome"]) == (0, "promoted"), ran.text
    assert town.mail.reasons("people", "v1") == ["started", "promoted"]


@real
@long
@installed
def test_a_good_release_is_promoted_once_an_approver_has_said_so(town: Town) -> None:
    site, number = town.site, town.site.release("v2")
    event = site.github.push_tag_event("v2")
    with site.runner.started("push", event, town.secrets) as driving:
        wait_until(lambda: town.release_for(BETA) == "v2", deadline_s=60, what="testers see the release")
        wait_until(lambda: bool(site.bodies(number, "approval")), deadline_s=ENDS_WITHIN_S, what="a person is asked")
        assert town.say(number, "ada", "/rollout approve").outputs["outcome"] == "refused"
        assert site.state().ordered.percent == 50
        answer = town.say(number, "octocat", "/rollout approve")
        assert answer.outputs["outcome"] == "ordered", answer.text
        ran = driving.end(within_s=ENDS_WITHIN_S)
    assert (ran.code, ran.outputs["outcome"]) == (0, "promoted"), ran.text
    assert "Summary - v2 serves everybody" in ran.text, "the job after a promotion has run"
    assert len(site.bodies(number, "status")) == len(site.bodies(number, "finished")) == 1
    assert town.mail.reasons("people", "v2") == ["started", "needs_a_person", "promoted"]
    assert town.mail.reasons("pager", "v2") == []


@real
@long
@installed
def test_a_bad_release_is_taken_back_and_everybody_hears_why_once(town: Town) -> None:
    number = town.site.release("v3")
    ran = town.push("v3")
    assert ran.code != 0, "a job that did not promote is red"
    assert (ran.outputs["outcome"], ran.outputs["reason"]) == ("rolled-back", "unhealthy"), ran.text
    assert "Summary - v3 serves everybody" not in ran.text, "the job after a promotion has not run"
    assert town.site.state().phase is Phase.ROLLED_BACK
    assert sum(isinstance(event, RolledBack) for event in town.site.events()) == 1
    (comment,) = town.site.bodies(number, "rolled_back")
    assert "http 5xx" in comment
    assert "the connection pool is exhausted" in comment, "the canary's log says what happened"
    assert town.mail.reasons("people", "v3") == ["started", "rolled_back"]
    assert town.mail.reasons("pager", "v3") == ["rolled_back"]
    (told,) = [body for path, body in town.mail.came if path == "/pager"]
    assert "http 5xx" in told["evidence"]
    assert {town.release_for("chat.example.com") for _ in range(20)} == {"v2"}
