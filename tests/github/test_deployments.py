"""The Environments page says of each rollout how it stands, once, and of the former release that it is active again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollout.core.decisions import Cause, Promote, RollBack
from rollout.core.events import (
    Checked,
    Commanded,
    Deployed,
    Event,
    Intended,
    Order,
    Paused,
    Promoted,
    RolledBack,
)
from rollout.core.plan import Step
from rollout.core.release import Release
from rollout.errors import GitHubForbids, GitHubUnavailable
from rollout.github.api import Repository
from rollout.github.deployments import LONGEST, SELDOM, DeploymentRecord, Standing, Status, standing_of
from tests.core.rollouts import NOON, TEN, moving, plan_around, started, state_of
from tests.github.clock import Clock
from tests.github.server import GitHubServer
from tests.github.world import Deployment

WAITING = Status(standing=Standing.IN_PROGRESS, description="canary 5 %", log_url="https://github.com/octo/chat/runs/1")
DONE = Status(standing=Standing.SUCCESS, description="promoted", environment_url="https://chat.example.com")
BACK = Status(standing=Standing.FAILURE, description="went back: http 5xx 4.1 % > 2 %")


def release(github: GitHubServer, tag: str, digit: str) -> Release:
    """A release of what is on main, with an image of its own."""
    github.tag(tag, github.head())
    return Release(tag=tag, image="example/chat", digest=f"sha256:{digit * 64}", commit=github.head())


def record(
    repository: Repository, of: Release, *, service: str = "chat", environment: str = "production"
) -> DeploymentRecord:
    """The record of this release's rollout."""
    return DeploymentRecord(repository, service=service, environment=environment, rollout=f"12-{of.tag}", release=of)


def only(github: GitHubServer) -> Deployment:
    """The one deployment there is."""
    (found,) = github.facts.deployments.values()
    return found


@pytest.fixture
def v1(github: GitHubServer) -> Release:
    """The release that serves users."""
    return release(github, "v1", "1")


@pytest.fixture
def v2(github: GitHubServer, v1: Release) -> Release:
    """The one on trial."""
    github.commit({"a": "b"}, "Newer")
    return release(github, "v2", "2")


def test_a_rollout_has_one_deployment_of_its_own(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """Of the commit, with the digest in it. Nothing is merged, and no other check is waited for."""
    assert record(repository, v2).tell(WAITING, now=clock())
    made = only(github)
    assert (made.sha, made.task, made.environment) == (v2.commit, "rollout:chat:12-v2", "production")
    assert made.payload == {"rollout": "12-v2", "service": "chat", "tag": "v2", "digest": v2.digest}
    asked = next(one.body for one in github.requests if one.verb == "POST" and one.path == "deployments")
    assert (asked["auto_merge"], asked["required_contexts"]) == (False, [])
    (status,) = made.statuses
    assert (status.state, status.description, status.log_url) == ("in_progress", "canary 5 %", WAITING.log_url)


def test_a_standing_that_changes_is_said_at_once(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """And each only once."""
    told = record(repository, v2)
    for status in (WAITING, WAITING, BACK, BACK):
        told.tell(status, now=clock())
    assert [status.state for status in only(github).statuses] == ["in_progress", "failure"]


def test_words_that_change_are_said_seldom(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """Each status counts against the limits of the repository: a rollout of two hours may not spend them here."""
    told = record(repository, v2)
    for minute in range(120):
        status = Status(standing=Standing.IN_PROGRESS, description=f"minute {minute}")
        told.tell(status, now=clock())
        clock.sleep(60)
    said = [status.description for status in only(github).statuses]
    assert len(said) == timedelta(hours=2) / SELDOM
    assert said[1] == f"minute {SELDOM // timedelta(minutes=1)}"


def test_another_run_goes_on_with_the_same_deployment(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """It says nothing that is said already, and keeps to the pause between words."""
    record(repository, v2).tell(WAITING, now=clock())
    assert not record(repository, v2).tell(WAITING, now=clock())
    other_words = Status(standing=Standing.IN_PROGRESS, description="canary 10 %")
    assert not record(repository, v2).tell(other_words, now=clock())
    clock.sleep(SELDOM.total_seconds())
    assert record(repository, v2).tell(other_words, now=clock())
    assert record(repository, v2).tell(DONE, now=clock())
    assert [status.state for status in only(github).statuses] == ["in_progress", "in_progress", "success"]


def test_services_and_environments_have_each_their_own(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """Though their rollouts have the same number."""
    record(repository, v2).tell(WAITING, now=clock())
    record(repository, v2, service="api").tell(WAITING, now=clock())
    record(repository, v2, environment="staging").tell(WAITING, now=clock())
    assert len(github.facts.deployments) == 3


@pytest.mark.parametrize("drop", [False, True])
def test_a_deployment_that_was_made_although_the_answer_was_lost_is_found(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release, *, drop: bool
) -> None:
    """It is not made twice."""
    github.fault("POST", "deployments$", after=True, drop=drop)
    record(repository, v2).tell(WAITING, now=clock())
    assert len(only(github).statuses) == 1


def test_a_deployment_that_was_not_made_is_an_error_and_is_made_the_next_time(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """The next tick tells again."""
    github.fault("POST", "deployments$", status=503)
    told = record(repository, v2)
    with pytest.raises(GitHubUnavailable):
        told.tell(WAITING, now=clock())
    assert told.tell(WAITING, now=clock())
    assert len(only(github).statuses) == 1


def test_a_status_that_could_not_be_said_is_said_the_next_time(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """It is not remembered as said."""
    told = record(repository, v2)
    told.tell(WAITING, now=clock())
    github.fault("POST", "statuses", status=502, times=5)
    with pytest.raises(GitHubUnavailable):
        told.tell(BACK, now=clock())
    assert told.tell(BACK, now=clock())
    assert only(github).state == "failure"


def test_without_the_permission_the_error_says_so(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """It is asked once."""
    github.permissions["deployments"] = "read"
    with pytest.raises(GitHubForbids, match="not accessible"):
        record(repository, v2).tell(WAITING, now=clock())
    assert github.count("POST") == 1


@pytest.mark.parametrize("description", ["x" * 140, "x" * 141, "界" * 500])
def test_a_description_is_cut_to_what_github_takes(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release, description: str
) -> None:
    """And is not said again for being cut."""
    status = Status(standing=Standing.PENDING, description=description)
    assert record(repository, v2).tell(status, now=clock())
    said = only(github).statuses[0].description
    assert len(said) == LONGEST
    assert said.endswith("…") == (len(description) > LONGEST)
    assert not record(repository, v2).tell(status, now=clock())


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_after_a_rollback_the_former_release_is_active_again(
    github: GitHubServer, repository: Repository, clock: Clock, v1: Release, v2: Release, environment: str
) -> None:
    """By a fresh success of its own deployment, said once, with the address of the service kept."""
    record(repository, v1, environment=environment).tell(DONE, now=clock())
    second = record(repository, v2, environment=environment)
    second.tell(DONE, now=clock())
    second.tell(BACK, now=clock())
    assert second.reinstate(v1, log_url="https://github.com/octo/chat/runs/2")
    assert second.reinstate(v1)
    assert record(repository, v2, environment=environment).reinstate(v1)
    first, other = github.facts.deployments.values()
    last = first.statuses[-1]
    assert (last.state, last.environment_url) == ("success", DONE.environment_url)
    assert last.description == "active again: v2 went back (rollout 12-v2)"
    assert [status.state for status in first.statuses].count("success") == 2
    assert other.state == "failure"


def test_a_former_release_without_a_record_is_left_without(
    github: GitHubServer, repository: Repository, clock: Clock, v1: Release, v2: Release
) -> None:
    """The first release under Rollout, another service's, and what others have deployed are none of it."""
    second = record(repository, v2)
    second.tell(BACK, now=clock())
    assert not second.reinstate(v1)
    record(repository, v1, service="api").tell(DONE, now=clock())
    assert not second.reinstate(v1)
    assert not second.reinstate(v2)


def test_of_two_deployments_of_one_release_the_last_is_active_again(
    github: GitHubServer, repository: Repository, clock: Clock, v1: Release, v2: Release
) -> None:
    """It may have been released twice."""
    for number in (10, 11):
        DeploymentRecord(repository, service="chat", environment="production", rollout=f"{number}-v1", release=v1).tell(
            DONE, now=clock()
        )
    assert record(repository, v2).reinstate(v1)
    first, second = github.facts.deployments.values()
    assert len(first.statuses) == 1
    assert second.statuses[-1].description.startswith("active again")


def test_of_two_deployments_of_one_rollout_the_older_is_kept(
    github: GitHubServer, repository: Repository, clock: Clock, v2: Release
) -> None:
    """Two runs may have made them at once."""
    record(repository, v2).tell(WAITING, now=clock())
    first = only(github)
    twin = DeploymentRecord(repository, service="chat", environment="production", rollout="12-v2", release=v2)
    assert twin._create() != first.id
    record(repository, v2).tell(BACK, now=clock())
    assert first.state == "failure"


PLAN = plan_around(Step(weight=TEN, soak=timedelta(minutes=1), approve=True))
DEPLOYED: tuple[Event, ...] = (started(PLAN), Deployed(at=NOON))
STEPPING: tuple[Event, ...] = (*DEPLOYED, Checked(at=NOON, results=()), *moving(TEN, 1, 60))
PAUSED: tuple[Event, ...] = (*STEPPING, Paused(at=NOON, because="because it lacks a verdict"))
PROMOTING: tuple[Event, ...] = (*STEPPING, Intended(at=NOON, action=Promote()))
PROMOTED: tuple[Event, ...] = (*PROMOTING, Promoted(at=NOON))
GOING_BACK = Intended(at=NOON, action=RollBack(cause=Cause.ORDERED, because="ann ordered it"))


@pytest.mark.parametrize(
    ("events", "standing"),
    [
        (DEPLOYED[:1], Standing.QUEUED),
        (DEPLOYED, Standing.IN_PROGRESS),
        (STEPPING, Standing.IN_PROGRESS),
        (PAUSED, Standing.PENDING),
        ((*DEPLOYED, Commanded(at=NOON, order=Order.PAUSE, by="ann", step=0)), Standing.PENDING),
        ((*PAUSED, Commanded(at=NOON, order=Order.RESUME, by="ann", step=1)), Standing.IN_PROGRESS),
        (PROMOTING, Standing.IN_PROGRESS),
        (PROMOTED, Standing.SUCCESS),
        ((*STEPPING, GOING_BACK), Standing.IN_PROGRESS),
        ((*STEPPING, GOING_BACK, RolledBack(at=NOON)), Standing.FAILURE),
        ((*PROMOTED, GOING_BACK, RolledBack(at=NOON)), Standing.FAILURE),
    ],
)
def test_every_phase_has_a_standing(events: tuple[Event, ...], standing: Standing) -> None:
    """A rollout that was promoted and went back after that has failed."""
    assert standing_of(state_of(*events), needs_a_person=False) is standing


@pytest.mark.parametrize(
    ("events", "standing"),
    [(STEPPING, Standing.PENDING), (PROMOTED, Standing.SUCCESS), ((*STEPPING, GOING_BACK), Standing.IN_PROGRESS)],
)
def test_a_rollout_that_waits_for_a_person_is_pending(events: tuple[Event, ...], standing: Standing) -> None:
    """While it is under way."""
    assert standing_of(state_of(*events), needs_a_person=True) is standing
