"""The argo target keeps the contract of every target: with both ways to drive it, and with both kinds of routers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.targets.argo.steps import stops
from rollout.targets.base import Target
from rollout.targets.kubernetes.client import Cluster
from tests.kubernetes.server import ClusterServer
from tests.targets.argo_world import HOST, NAMESPACE, TENTHS, WHOLE, World, make
from tests.targets.contract import Answer, TargetContract
from tests.targets.test_command_contract import push_manifest


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the project catches it."""


@dataclass(frozen=True)
class ArgoHarness:
    """The argo target for the suite."""

    world: World
    registry: str
    monkeypatch: pytest.MonkeyPatch
    pushed: dict[str, Release] = field(default_factory=dict)

    def target(self) -> Target:
        """See Harness."""
        return self.world.target()

    def release(self, tag: str) -> Release:
        """See Harness. The image is nothing but a manifest: nobody pulls it."""
        if tag not in self.pushed:
            digest = push_manifest(self.registry, "chat", tag)
            self.pushed[tag] = self.world.known(Release(tag=tag, image=self.world.image, digest=digest))
        return self.pushed[tag]

    def broken_release(self) -> Release:
        """See Harness."""
        release = self.release("broken")
        self.world.cluster.crash_image(release.reference)
        return release

    def ask(self) -> Answer:
        """See Harness."""
        answer = self.world.cluster.ask(HOST)
        return Answer(status=answer.status, release=self.world.tags[answer.image] if answer.status == 200 else "")

    def drift(self, weight: Weight) -> None:
        """See Harness. Somebody sends the controller to another step."""
        spec = self.world.rollout()["spec"]["strategy"]["canary"]
        there = stops(spec["steps"], int(spec["trafficRouting"].get("maxTrafficWeight", 100)))
        index = next(stop.begin for stop in there if stop.weight == weight)
        self.world.set_status(currentStepIndex=index, pauseConditions=None, controllerPause=False)
        self.world.cluster.wait(lambda: self.world.target().look().weight == weight)

    def interrupt(self, effect: Callable[[Target], None], *, at: int) -> bool:
        """See Harness. Its contacts with the outside are requests to the API server."""
        count = 0
        real = Cluster._text

        def contact(cluster: Cluster, *args: Any, **kwargs: Any) -> bytes:  # noqa: ANN401  (whatever it takes)
            nonlocal count
            count += 1
            if count == at:
                raise Killed
            return real(cluster, *args, **kwargs)

        target = self.world.target()
        with self.monkeypatch.context() as patch:
            patch.setattr(Cluster, "_text", contact)
            try:
                effect(target)
            except Killed:
                return True
        return False


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
