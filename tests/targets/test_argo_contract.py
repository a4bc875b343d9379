"""The argo target keeps the contract of every target: with both ways to drive it, and with both kinds of routers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from rollout.core.plan import Weight
from rollout.targets.argo.steps import stops
from tests.kubernetes.server import ClusterServer
from tests.targets.argo_world import NAMESPACE, TENTHS, WHOLE, World, make
from tests.targets.cluster_harness import ClusterHarness
from tests.targets.contract import TargetContract


@dataclass(frozen=True)
class ArgoHarness(ClusterHarness[World]):
    """The argo target for the suite."""

    def drift(self, weight: Weight) -> None:
        """See Harness. Somebody sends the controller to another step."""
        spec = self.world.rollout()["spec"]["strategy"]["canary"]
        there = stops(spec["steps"], int(spec["trafficRouting"].get("maxTrafficWeight", 100)))
        index = next(stop.begin for stop in there if stop.weight == weight)
        self.world.set_status(currentStepIndex=index, pauseConditions=None, controllerPause=False)
        self.world.cluster.wait(lambda: self.world.target().look().weight == weight)


@pytest.fixture
def cluster() -> Iterator[ClusterServer]:
    """A cluster with one namespace."""
    with ClusterServer(namespaces=(NAMESPACE,)) as one:
        yield one


@pytest.mark.real
class TestArgoTarget(TargetContract):
    """Behind a route of the Gateway API, driven by weights and by the Rollout's own steps."""

    keeps_the_canary: ClassVar[bool] = False
    percents: ClassVar[tuple[float, ...]] = (0, 1, 5, 12, 50, 99, 100, 1, 0)

    @pytest.fixture(params=["weights", pytest.param("steps", marks=pytest.mark.long)])
    def harness(
        self,
        request: pytest.FixtureRequest,
        cluster: ClusterServer,
        tmp_path: Path,
        registry_address: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[ArgoHarness]:
        """A Rollout of its own, and a registry for all."""
        world = make(cluster, tmp_path, image=f"{registry_address}/chat", drive=str(request.param))
        assert set(self.percents) <= set(WHOLE)
        yield ArgoHarness(world, registry_address, monkeypatch)
        world.close()


@pytest.mark.real
@pytest.mark.long
class TestArgoTargetBehindNginx(TargetContract):
    """Behind an Ingress of ingress-nginx, in tenths of a percent."""

    keeps_the_canary: ClassVar[bool] = False

    @pytest.fixture
    def harness(
        self, cluster: ClusterServer, tmp_path: Path, registry_address: str, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[ArgoHarness]:
        """A Rollout of its own, and a registry for all."""
        world = make(cluster, tmp_path, image=f"{registry_address}/chat", router="nginx")
        assert set(self.percents) <= set(TENTHS)
        yield ArgoHarness(world, registry_address, monkeypatch)
        world.close()
