"""The main job on real parts, as a user does it: nginx, containers, a registry, Prometheus, users who keep asking.

The tests tell one story after the other on the same machine; each begins with what the one before left running.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from rollout.cli import driving, looking, orders
from rollout.cli.opening import open_service
from rollout.core.decisions import Cause
from rollout.core.events import RolledBack, WeightSeen
from rollout.core.state import State
from rollout.demo import parts
from rollout.demo.processes import wait_until
from rollout.demo.run import RELEASES
from rollout.demo.stage import NEEDED, Stage, stage, users
from rollout.errors import ROLLED_BACK, Refused, TargetFailed

LACKING = [one.program for one in parts.missing() if one.program in NEEDED]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(LACKING), reason=f"not installed here: {', '.join(LACKING)}"),
]

MORE = {"mute": {"UNHEALTHY": "1"}}
CHECKS = [
    {"name": "health", "http": {"path": "/api/health"}},
    {"name": "address", "command": ["sh", "-c", 'test -n "$ROLLOUT_URL"']},
]


@pytest.fixture(scope="module")
def scenery() -> Iterator[Stage]:
    with (
        stage({**RELEASES, **MORE}, directory=None, changes={"checks": CHECKS}) as scenery,
        users(scenery.url, number=200, rps=120),
    ):
        yield scenery


def run(scenery: Stage, tag: str | None) -> int:
    return driving.run(scenery.call("run", tag=tag, plain=True, html=None, again=False))


def state_of(scenery: Stage) -> State:
    _, state = open_service(scenery.call("status")).read()
    assert state is not None
    return state


def changed(scenery: Stage, name: str, **changes: object) -> Stage:
    """The same parts under a rollout.yml with other values."""
    config = scenery.config.with_name(name)
    config.write_text(yaml.safe_dump({**yaml.safe_load(scenery.config.read_text()), **changes}))
    return Stage(url=scenery.url, config=config, journal=scenery.journal, access_log=scenery.access_log)


def serves_only(scenery: Stage, release: str) -> None:
    """Wait until the last fifty answers are of one release: long ones are written down when they end."""
    log = scenery.access_log
    wait_until(
        lambda: {name for _, _, name in served(log)[-50:]} == {release}, deadline_s=10, what=f"only {release} answers"
    )


def served(log: Path) -> list[tuple[float, str, str]]:
    """When which version and release answered, as the gateway wrote it down."""
    lines = [json.loads(text) for text in log.read_text().splitlines()]
    return [(line["ts"], line["version"], line["release"]) for line in lines]


def test_a_tag_that_is_not_in_the_registry_starts_nothing(scenery: Stage) -> None:
    with pytest.raises(TargetFailed, match="nowhere is not there"):
        run(scenery, "nowhere")
    record, _ = open_service(scenery.call("status")).read()
    assert record.number == 0


def test_the_first_release_is_promoted_at_once(scenery: Stage) -> None:
    assert run(scenery, "v1") == 0
    record, _ = open_service(scenery.call("status")).read()
    assert not any(isinstance(event, WeightSeen) for event in record.events)


def test_a_good_release_goes_step_by_step_to_all_users(scenery: Stage) -> None:
    assert run(scenery, "v2") == 0
    record, state = open_service(scenery.call("status")).read()
    assert state is not None
    seen = [event for event in record.events if isinstance(event, WeightSeen)]
    assert [event.weight.percent for event in seen] == [0, 5, 25, 50, 100]
    for before, after in pairwise(seen):
        assert after.at - before.at >= state.plan.steps[before.step].soak
    serves_only(scenery, "v2")


def test_a_workflow_that_is_run_once_more_changes_nothing(scenery: Stage) -> None:
    before = open_service(scenery.call("status")).read()[0]
    assert run(scenery, "v2") == 0
    assert open_service(scenery.call("status")).read()[0] == before


def test_a_bad_release_is_taken_back_and_no_user_sees_it_again(scenery: Stage) -> None:
    assert run(scenery, "v3") == ROLLED_BACK
    record, state = open_service(scenery.call("status")).read()
    assert state is not None
    assert state.cause is Cause.UNHEALTHY
    back = next(event.at for event in record.events if isinstance(event, RolledBack))
    late = [at for at, version, _ in served(scenery.access_log) if version == "canary" and at > back.timestamp() + 1]
    assert late == []
    serves_only(scenery, "v2")


def test_the_access_log_is_enough_to_judge_by(scenery: Stage) -> None:
    """No Prometheus: the same bad release, judged by the 5xx that nginx has seen."""
    gate = {
        "name": "http 5xx",
        "failures": 'http_requests_total{version="$version", code=~"5.."}',
        "total": 'http_requests_total{version="$version"}',
        "max": "2%",
        "min_requests": 20,
    }
    steps = [{"weight": 0, "soak": "2s"}, {"weight": 40, "soak": "40s"}, {"weight": 100, "soak": "5s"}]
    other = changed(scenery, "access-log.yml", metrics={"access_log": {}}, gates=[gate], steps=steps)
    assert run(other, "v3") == ROLLED_BACK
    assert state_of(other).cause is Cause.UNHEALTHY
    assert "http 5xx" in state_of(other).because


def test_a_release_that_never_gets_ready_meets_no_user(scenery: Stage) -> None:
    document = yaml.safe_load(scenery.config.read_text())
    document["target"]["nginx"]["container"]["health_timeout"] = "2s"
    other = changed(scenery, "impatient.yml", target=document["target"])
    assert run(other, "mute") == ROLLED_BACK
    assert state_of(other).cause is Cause.DEPLOY_FAILED
    assert "mute" not in {release for _, _, release in served(scenery.access_log)}


def test_a_failed_check_meets_no_user(scenery: Stage) -> None:
    """A check that stable fails as well as the canary: its database may just have been migrated."""
    failing = [{"name": "new page", "http": {"path": "/not/there"}}]
    other = changed(scenery, "checked.yml", checks=failing)
    assert run(other, "v1") == ROLLED_BACK
    state = state_of(other)
    assert state.cause is Cause.CHECKS_FAILED
    assert state.checked is not None
    assert {result.version for result in state.checked.results} == {"canary", "stable"}
    assert all("404" in result.detail for result in state.checked.results)


def test_after_a_promotion_abort_goes_back_to_the_former_release(scenery: Stage) -> None:
    quick = changed(scenery, "quick.yml", steps=[{"weight": 50, "soak": "3s"}, {"weight": 100, "soak": "2s"}])
    assert run(quick, "v1") == 0
    serves_only(scenery, "v1")
    assert orders.order(quick.call("abort", by="ann", rollout=None, step=None)) == 0
    assert run(quick, None) == ROLLED_BACK
    serves_only(scenery, "v2")


def test_what_is_over_takes_no_orders_and_has_a_report(scenery: Stage, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is over"):
        orders.order(scenery.call("promote", by="ann", rollout=None, step=None))
    page = tmp_path / "report.html"
    assert looking.status(scenery.call("status", events=True, html=page)) == 0
    assert "ordered by ann" in page.read_text()


def test_no_request_of_any_user_was_lost(scenery: Stage) -> None:
    """Over all of these rollouts the gateway itself never had to say that there is no backend."""
    lines = [json.loads(text) for text in scenery.access_log.read_text().splitlines()]
    first = min(line["ts"] for line in lines if line["release"] == "v1")
    refused = [line for line in lines if line["ts"] > first + 1 and line["status"] in (502, 503, 504)]
    assert refused == []
