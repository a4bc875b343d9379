"""examples/argo-rollouts works as it stands, with no more rights than docs/argo-rbac.yaml grants."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from rollout.compose import target_of
from rollout.config import load
from rollout.core.finding import Severity
from rollout.core.release import Release
from rollout.targets.base import Health
from tests.kubernetes.server import ClusterServer

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "argo-rollouts"
RELEASE = Release(tag="v2", image="ghcr.io/example/hello", digest="sha256:" + "2" * 64)


@pytest.fixture
def cluster() -> Iterator[ClusterServer]:
    """A cluster with the objects of the example, whose Rollout runs."""
    with ClusterServer(namespaces=("shop",)) as one:
        one.apply((EXAMPLE / "cluster.yaml").read_text(encoding="utf-8"))
        one.wait(lambda: (one.get("rollouts", "hello").get("status") or {}).get("phase") == "Healthy")
        yield one


def test_the_example_goes_from_the_first_step_to_a_promotion_and_back(cluster: ClusterServer, tmp_path: Path) -> None:
    """Every weight of its plan is served, and every request is one that the role allows."""
    configuration = load(EXAMPLE / "rollout.yml", env={})
    env = {"KUBECONFIG": str(cluster.kubeconfig(tmp_path / "kubeconfig"))}
    target = target_of(configuration, env, clock=lambda: datetime.now(UTC))
    assert [each for each in target.diagnose() if each.severity is not Severity.OK] == []
    before = target.look()
    assert before.stable is not None
    target.deploy(RELEASE, rollout="1-v2")
    for step in configuration.plan.steps:
        target.move(step.weight)
        assert target.look().weight == step.weight
    target.promote()
    seen = target.look()
    assert seen.stable is not None
    assert (seen.stable.release, seen.stable.health) == (RELEASE, Health.READY)
    assert seen.reserve == before.stable.release
    target.roll_back(rollout="1-v2")
    after = target.look()
    assert after.stable is not None
    assert after.stable.release == before.stable.release
    target.logs(lines=5)
    asked = {(one.verb, one.resource) for one in cluster.requests if one.verb != "read"}
    assert asked <= granted(), asked - granted()
    target.cluster._api.rest_client.pool_manager.clear()  # type: ignore[attr-defined]  # no leaked sockets in tests


def test_the_role_grants_nothing_that_is_not_needed() -> None:
    """Each right is one that doctor asks about."""
    from rollout.targets.argo.diagnosis import PERMISSIONS  # noqa: PLC0415

    needed = {(verb, f"{kind.plural}/{sub}" if sub else kind.plural) for verb, kind, sub in PERMISSIONS}
    assert granted() == needed | {("get", "httproutes")}


def granted() -> set[tuple[str, str]]:
    """What the role of the documentation allows."""
    documents = yaml.safe_load_all((ROOT / "docs" / "argo-rbac.yaml").read_text(encoding="utf-8"))
    role = next(each for each in documents if each["kind"] == "Role")
    return {(verb, resource) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
