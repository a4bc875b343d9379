"""The Kubernetes target keeps the contract of every target: behind the Gateway API, and behind ingress-nginx."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rollout.core.plan import Weight
from tests.kubernetes.server import ClusterServer
from tests.targets.cluster_harness import ClusterHarness
from tests.targets.contract import TargetContract
from tests.targets.kubernetes_world import NAMESPACE, World, make


@dataclass(frozen=True)
class KubernetesHarness(ClusterHarness[World]):
    """The Kubernetes target for the suite."""

    def drift(self, weight: Weight) -> None:
        """See Harness."""
        if self.world.settings.route is not None:
            self.world.set_weights(weight.permille)
            return

        def change(item: dict[str, Any]) -> None:
            item["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"] = str(weight.permille)

        self.world.cluster.change("ingresses", "chat-canary", change, by="kubectl-edit", namespace=NAMESPACE)


@pytest.fixture
def cluster() -> Iterator[ClusterServer]:
    """A cluster with one namespace."""
    with ClusterServer(namespaces=(NAMESPACE,)) as one:
        yield one


@pytest.mark.real
class TestKubernetesTarget(TargetContract):
    """Both routers, by the parameter."""

    keeps_the_canary: ClassVar[bool] = False

    @pytest.fixture(params=["gateway", pytest.param("nginx", marks=pytest.mark.long)])
    def harness(
        self,
        request: pytest.FixtureRequest,
        cluster: ClusterServer,
        tmp_path: Path,
        registry_address: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> KubernetesHarness:
        """A Deployment of its own, and a registry for all."""
        world = make(cluster, tmp_path, image=f"{registry_address}/chat", router=request.param)
        return KubernetesHarness(world, registry_address, monkeypatch)
