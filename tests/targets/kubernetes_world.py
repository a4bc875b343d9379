"""A service behind a Deployment, a Service and a route in a cluster, for the tests of the Kubernetes target."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from rollout.core.release import Release
from rollout.targets.kubernetes.client import Cluster, Login, connect
from rollout.targets.kubernetes.settings import KubernetesSettings
from rollout.targets.kubernetes.target import KubernetesTarget
from tests.kubernetes.server import ClusterServer

NAMESPACE: Final = "shop"
HOST: Final = "chat.example"

Router = Literal["gateway", "nginx"]
Json = dict[str, Any]


@dataclass
class World:
    """What a user has before the first rollout, and the cluster it is in."""

    cluster: ClusterServer
    kubeconfig: Path
    image: str
    settings: KubernetesSettings
    tags: dict[str, str] = field(default_factory=dict)
    """The tag of each image that runs."""

    def api(self) -> Cluster:
        """A new login to the cluster."""
        return connect(Login(kubeconfig=self.kubeconfig), env={})

    def target(self, **settings: object) -> KubernetesTarget:
        """The target as a new process finds it."""
        given = self.settings.model_dump(exclude_unset=True) | settings
        return KubernetesTarget(
            settings=KubernetesSettings.model_validate(given),
            service="chat",
            environment="production",
            image=self.image,
            env={},
            clock=lambda: datetime.now(UTC),
            sleep=lambda seconds: time.sleep(min(seconds / 10, 0.05)),  # the double is faster than real controllers
        )

    def known(self, release: Release, *, says: str = "") -> Release:
        """A release whose pods become ready."""
        self.tags[release.reference] = release.tag
        self.cluster.say(release.reference, says or f"release {release.tag} starts\n")
        return release

    def made_up(self, tag: str) -> Release:
        """A release that is in no registry: nobody resolves it."""
        digest = "sha256:" + tag.encode().hex().rjust(64, "0")
        return self.known(Release(tag=tag, image=self.image, digest=digest))

    def rules(self, name: str = "chat") -> list[Json]:
        """The rules of a route as they are."""
        return list(self.cluster.get("httproutes", name, NAMESPACE)["spec"]["rules"])

    def set_weights(self, permille: int, *, by: str = "kubectl-edit", name: str = "chat") -> None:
        """Somebody else changes the weights of a route's rules."""

        def change(route: Json) -> None:
            for rule in route["spec"]["rules"]:
                for ref in rule["backendRefs"]:
                    ref["weight"] = permille if str(ref["name"]).endswith("-canary") else 1000 - permille

        self.cluster.change("httproutes", name, change, by=by, namespace=NAMESPACE)


def deployment(name: str, image: str, *, replicas: int, **spec: object) -> Json:
    """A user's own Deployment."""
    labels = {"app": name, "version": "stable"}
    container = {"name": name, "image": image, "ports": [{"containerPort": 8080}]}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def service(name: str) -> Json:
    """A user's own Service."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def route(name: str, *, rules: Sequence[Mapping[str, object]] | None = None, host: str = HOST) -> Json:
    """A user's own HTTPRoute."""
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "hostnames": [host],
            "parentRefs": [{"name": "web"}],
            "rules": list(rules or [{"backendRefs": [{"name": name, "port": 80}]}]),
        },
    }


def ingress(name: str) -> Json:
    """A user's own Ingress."""
    backend = {"service": {"name": name, "port": {"number": 80}}}
    rule = {"host": HOST, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ingressClassName": "nginx", "rules": [rule]},
    }


def make(
    cluster: ClusterServer,
    directory: Path,
    *,
    image: str = "registry.example/chat",
    router: Router = "gateway",
    replicas: int = 0,
    running: str = "none",
    rules: Sequence[Mapping[str, object]] | None = None,
) -> World:
    """The objects that a user has before the first rollout; with `replicas: 0` nothing was released yet."""
    cluster.seed("deployments", deployment("chat", f"{image}:{running}", replicas=replicas))
    cluster.seed("services", service("chat"))
    names = {"deployment": "chat", "service": "chat"}
    if router == "gateway":
        cluster.seed("httproutes", route("chat", rules=rules))
        names["route"] = "chat"
    else:
        cluster.seed("ingresses", ingress("chat"))
        names["ingress"] = "chat"
    kubeconfig = cluster.kubeconfig(directory / "kubeconfig")
    settings = KubernetesSettings.model_validate(
        {"namespace": NAMESPACE, **names, "kubeconfig": kubeconfig, "ready_timeout": "20s"}
    )
    return World(cluster=cluster, kubeconfig=kubeconfig, image=image, settings=settings)
