"""What the contract's suite needs of a target in a cluster, whatever splits the traffic there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import pytest

from rollout.core.release import Release
from rollout.targets.base import Target
from rollout.targets.kubernetes.client import Cluster
from tests.kubernetes.server import ClusterServer
from tests.targets.contract import Answer
from tests.targets.kubernetes_world import HOST
from tests.targets.test_command_contract import Killed, push_manifest


class Place(Protocol):
    """A service in a cluster."""

    cluster: ClusterServer
    image: str
    tags: dict[str, str]

    def target(self) -> Target:
        """The target as a new process finds it."""

    def known(self, release: Release) -> Release:
        """The same release, once the cluster knows what its image answers."""


P = TypeVar("P", bound=Place)


@dataclass(frozen=True)
class ClusterHarness(Generic[P]):
    """Everything but the drift, which is another one for each router."""

    world: P
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
