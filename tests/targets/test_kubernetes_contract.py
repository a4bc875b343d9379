"""The Kubernetes target keeps the contract of every target: behind the Gateway API, and behind ingress-nginx."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.targets.base import Target
from rollout.targets.kubernetes.client import Cluster
from tests.kubernetes.server import ClusterServer
from tests.targets.contract import Answer, TargetContract
from tests.targets.kubernetes_world import HOST, NAMESPACE, World, make
from tests.targets.test_command_contract import push_manifest


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the project catches it."""


@dataclass(frozen=True)
class KubernetesHarness:
    """The Kubernetes target for the suite."""

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
        """See Harness."""
        if self.world.settings.route is not None:
            self.world.set_weights(weight.permille)
            return

        def change(item: dict[str, Any]) -> None:
            item["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"] = str(weight.permille)

        self.world.cluster.change("ingresses", "chat-canary", change, by="kubectl-edit", namespace=NAMESPACE)

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
