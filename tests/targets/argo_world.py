"""A service behind a Rollout in a cluster, for the tests of the argo target."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.targets.argo import steps as stepping
from rollout.targets.argo.settings import ArgoSettings
from rollout.targets.argo.target import ArgoTarget
from rollout.targets.kubernetes.client import Cluster, Login, connect
from tests.kubernetes.server import ClusterServer
from tests.targets.kubernetes_world import HOST

NAMESPACE: Final = "shop"
WHOLE: Final = (0, 1, 5, 10, 12, 25, 40, 50, 99, 100)
"""The plan's weights where traffic is split in hundredths: the Gateway API plugin can do no other."""
TENTHS: Final = (0, 0.1, 1, 5, 10, 12.3, 25, 40, 50, 99.9, 100)

Router = Literal["gateway", "nginx", "none"]
Json = dict[str, Any]


@dataclass
class World:
    """One Rollout, its services and what routes to them."""

    cluster: ClusterServer
    kubeconfig: Path
    image: str
    settings: ArgoSettings
    percents: tuple[float, ...]
    tags: dict[str, str] = field(default_factory=dict)
    """The tag of each image that runs."""
    logins: list[Cluster] = field(default_factory=list)
    asleep: float = 0.0
    """Seconds that the target has waited so far, by its own reckoning."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The plan's weights."""
        return tuple(Weight(percent) for percent in self.percents)

    def api(self) -> Cluster:
        """A new login to the cluster."""
        one = connect(Login(kubeconfig=self.kubeconfig), env={})
        self.logins.append(one)
        return one

    def close(self) -> None:
        """Close the connections of all logins."""
        for one in self.logins:
            one._api.rest_client.pool_manager.clear()

    def target(self, **settings: object) -> ArgoTarget:
        """The target as a new process finds it."""
        return ArgoTarget(
            settings=self.settings.model_copy(update=settings),
            cluster=self.api(),
            image=self.image,
            weights=self.weights,
            env={},
            sleep=self._sleep,
            monotonic=time.monotonic,
        )

    def _sleep(self, seconds: float) -> None:
        """A tenth of what is asked: the double's controllers are faster than real ones."""
        self.asleep += seconds
        time.sleep(seconds / 10)

    def known(self, release: Release, *, says: str = "") -> Release:
        """A release whose pods become ready."""
        self.tags[release.reference] = release.tag
        self.cluster.say(release.reference, says or f"release {release.tag} starts\n")
        return release

    def made_up(self, tag: str) -> Release:
        """A release that is in no registry: nobody resolves it."""
        digest = "sha256:" + tag.encode().hex().rjust(64, "0")
        return self.known(Release(tag=tag, image=self.image, digest=digest))

    def rollout(self) -> Json:
        """The Rollout as it is."""
        return self.cluster.get("rollouts", "chat", NAMESPACE)

    def status(self) -> Json:
        """Its status."""
        return dict(self.rollout().get("status") or {})

    def set_status(self, **fields: object) -> None:
        """Somebody else gives the controller an order, as `kubectl argo rollouts` does."""
        from tests.kubernetes.kinds import kind_of  # noqa: PLC0415
        from tests.kubernetes.store import Writer  # noqa: PLC0415

        def act(item: Json) -> Json:
            return {**item, "status": {**(item.get("status") or {}), **fields}}

        writer = Writer(manager="kubectl-argo-rollouts", subresource="status")
        self.cluster.store.write(kind_of("rollouts"), NAMESPACE, "chat", act, writer)

    def change(self, change: Callable[[Json], Json | None], *, by: str = "kubectl-edit") -> None:
        """Somebody else changes the Rollout."""
        self.cluster.change("rollouts", "chat", change, by=by, namespace=NAMESPACE)

    def wait(self, until: Callable[[Json], object]) -> None:
        """Wait until the Rollout's status is so."""
        self.cluster.wait(lambda: bool(until(self.status())))

    def route_weight(self) -> int:
        """What the HTTPRoute gives the canary's service."""
        rule = self.cluster.get("httproutes", "chat", NAMESPACE)["spec"]["rules"][0]
        return int(next(each["weight"] for each in rule["backendRefs"] if each["name"] == "chat-canary"))


def settings(**more: object) -> ArgoSettings:
    """The target's settings, with limits that suit the double."""
    return ArgoSettings.model_validate(
        {
            "namespace": NAMESPACE,
            "rollout": "chat",
            "replicas": 3,
            "ready_timeout": "20s",
            "settle_timeout": "10s",
            **more,
        }
    )


def make(
    cluster: ClusterServer,
    directory: Path,
    *,
    image: str,
    router: Router = "gateway",
    drive: str = "weights",
    replicas: int = 0,
    spec: Mapping[str, object] | None = None,
    steps: Sequence[Json] | None = None,
    name: str = "chat",
) -> World:
    """The objects that a user has before the first rollout; with `replicas: 0` nothing was released yet."""
    percents = TENTHS if router == "nginx" else WHOLE
    total = 1000 if router == "nginx" else 100
    own = stepping.write(tuple(Weight(each) for each in percents), total=total, idle_pods=3)
    canary: Json = {"stableService": name, "canaryService": f"{name}-canary"}
    if router == "gateway":
        canary["trafficRouting"] = {
            "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": name, "namespace": NAMESPACE}}
        }
    if router == "nginx":
        canary["trafficRouting"] = {"nginx": {"stableIngress": name}, "maxTrafficWeight": total}
    if drive == "steps":
        canary["steps"] = list(steps if steps is not None else own)
    for service in (name, f"{name}-canary"):
        ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
        cluster.seed(
            "services",
            {
                "metadata": {"name": service, "namespace": NAMESPACE},
                "spec": {"selector": {"app": name}, "ports": ports},
            },
        )
    if router == "nginx":
        backend = {"service": {"name": name, "port": {"number": 80}}}
        rule = {"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        metadata: Json = {"name": name, "namespace": NAMESPACE}
        cluster.seed("ingresses", {"metadata": metadata, "spec": {"ingressClassName": "nginx", "rules": [rule]}})
    else:
        backends = [{"name": name, "port": 80, "weight": 100}, {"name": f"{name}-canary", "port": 80, "weight": 0}]
        cluster.seed(
            "httproutes",
            {
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {
                    "hostnames": [HOST if name == "chat" else f"{name}.example"],
                    "parentRefs": [{"name": "web"}],
                    "rules": [{"backendRefs": backends}],
                },
            },
        )
    container = {"name": "chat", "image": f"{image}:none", "ports": [{"containerPort": 8080}]}
    cluster.seed(
        "rollouts",
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
                "strategy": {"canary": canary},
                **(spec or {}),
            },
        },
    )
    world = World(
        cluster=cluster,
        kubeconfig=cluster.kubeconfig(directory / "kubeconfig"),
        image=image,
        settings=settings(drive=drive, rollout=name),
        percents=percents,
    )
    cluster.wait(lambda: (cluster.get("rollouts", name, NAMESPACE).get("status") or {}).get("phase") == "Healthy")
    return world
