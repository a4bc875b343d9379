"""The example for the Gateway API is complete: what lies in its directory is all that a rollout needs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from rollout.config import load
from rollout.core.finding import Severity
from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.targets.kubernetes.settings import KubernetesSettings
from rollout.targets.kubernetes.target import KubernetesTarget
from tests.kubernetes.server import ClusterServer

EXAMPLE = Path(__file__).parents[2] / "examples" / "kubernetes-gateway"


def test_the_example_is_released_promoted_and_taken_back(tmp_path: Path) -> None:
    """Its objects in a cluster, its rollout.yml, and every weight of its steps."""
    configuration = load(EXAMPLE / "rollout.yml", env={})
    assert isinstance(configuration.target, KubernetesSettings)
    with ClusterServer(namespaces=("shop",)) as cluster:
        first = f"{configuration.image}:v1"
        cluster.knobs.digests[first] = f"{configuration.image}@sha256:{'1' * 64}"
        cluster.apply((EXAMPLE / "cluster.yaml").read_text(encoding="utf-8"))
        target = KubernetesTarget(
            settings=configuration.target,
            service=configuration.plan.service,
            environment=configuration.plan.environment,
            image=configuration.image,
            env={"KUBECONFIG": str(cluster.kubeconfig(tmp_path / "config"))},
            clock=lambda: datetime.now(UTC),
            sleep=lambda seconds: time.sleep(min(seconds / 10, 0.05)),
        )
        cluster.wait(lambda: cluster.ask("hello.example.com").image == first)
        assert [each for each in target.diagnose() if each.severity is Severity.ERROR] == []
        release = Release(tag="v2", image=configuration.image, digest=f"sha256:{'2' * 64}")
        target.deploy(release, rollout="1-v2")
        tester = {"X-Rollout-Version": "canary"}
        assert cluster.ask("hello.example.com", headers=tester).image == release.reference
        for step in configuration.plan.steps:
            target.move(step.weight)
            assert target.look().weight == step.weight
        assert step.weight == Weight(100)
        target.promote()
        target.retire()
        assert cluster.ask("hello.example.com").image == release.reference
        target.roll_back(rollout="1-v2")
        assert cluster.ask("hello.example.com").image.endswith("1" * 64)
