"""What can be read in the cluster about one Rollout: its versions, their pods, and what the gateway gives the canary.

It changes nothing and decides nothing; each method is one or two requests, so that a tick stays cheap.
"""

from __future__ import annotations

import difflib
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from rollout.core.plan import NOTHING, Weight
from rollout.errors import TargetFailed
from rollout.targets.argo import pods as podding
from rollout.targets.argo.pods import Pods
from rollout.targets.argo.routes import canary_share
from rollout.targets.argo.settings import ArgoSettings
from rollout.targets.argo.standing import Standing
from rollout.targets.argo.templates import HASH_LABEL, Containers
from rollout.targets.kubernetes.client import HTTP_ROUTE, POD, REPLICA_SET, ROLLOUT, SERVICE, Cluster, Json
from rollout.targets.kubernetes.refusals import Invalid, NotThere

MOST_PODS: Final = 3
"""How many pods' logs are read: what went wrong is usually the same in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What users get now."""

    weight: Weight | None
    """The canary's share; None where it cannot be told."""
    problem: str = ""
    """Why not."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One Rollout of one cluster."""

    cluster: Cluster
    settings: ArgoSettings
    image: str
    """The repository of the service's image."""

    @property
    def containers(self) -> Containers:
        """Which containers run the service."""
        return Containers(image=self.image, name=self.settings.container)

    def standing(self) -> Standing:
        """The Rollout as it stands. Raises TargetFailed, which names the nearest Rollout, where there is none."""
        namespace, name = self.settings.namespace, self.settings.name
        try:
            return Standing(whole=self.cluster.get(ROLLOUT, namespace, name))
        except NotThere as missing:
            if missing.kind_is_unknown:
                raise TargetFailed(
                    "the cluster has no Rollouts (argoproj.io/v1alpha1)",
                    hint="Install Argo Rollouts: https://argo-rollouts.readthedocs.io/en/stable/installation/",
                ) from missing
            raise TargetFailed(
                f"there is no Rollout {name!r} in the namespace {namespace!r}", hint=self._nearest(name)
            ) from missing

    def _nearest(self, name: str) -> str:
        try:
            there = [str(each["metadata"]["name"]) for each in self.cluster.list_all(ROLLOUT, self.settings.namespace)]
        except TargetFailed:
            return "Check target.argo.rollout and target.argo.namespace."
        near = difflib.get_close_matches(name, there, n=1)
        if near:
            return f"Did you mean {near[0]!r}? Set target.argo.rollout."
        listed = ", ".join(sorted(there)[:10]) or "none"
        return f"The Rollouts there: {listed}. Check target.argo.rollout and target.argo.namespace."

    def versions(self, standing: Standing) -> dict[str, Json]:
        """The Rollout's own ReplicaSets by the hash of their template."""
        uid = standing.whole["metadata"].get("uid")
        found = self.cluster.list_all(REPLICA_SET, self.settings.namespace, labels=standing.selector)
        return {
            str(each["metadata"]["labels"][HASH_LABEL]): each
            for each in found
            if HASH_LABEL in (each["metadata"].get("labels") or {})
            and any(owner.get("uid") == uid for owner in each["metadata"].get("ownerReferences") or [])
        }

    def pods(self, standing: Standing, version: str) -> Pods:
        """The pods of one version; none for an empty hash."""
        if not version:
            return Pods()
        labels = {**standing.selector, HASH_LABEL: version}
        container = self.containers.main(standing.template)
        return podding.read(self.cluster.list_all(POD, self.settings.namespace, labels=labels), container)

    def served(self, standing: Standing) -> Served:
        """What users get: from the routes where the controller writes HTTPRoutes, else as its status tells."""
        if standing.routes:
            return self._routed(standing)
        if standing.share is not None:
            return Served(weight=standing.share)
        if not standing.has_canary:
            return Served(weight=NOTHING)
        return Served(weight=None, problem="Argo Rollouts has not told yet what it gives the canary")

    def _routed(self, standing: Standing) -> Served:
        stable, canary = str(standing.canary.get("stableService")), str(standing.canary.get("canaryService"))
        shares = []
        for namespace, name in standing.routes:
            try:
                route = self.cluster.get(HTTP_ROUTE, namespace, name)
            except TargetFailed as failed:
                return Served(weight=None, problem=failed.message)
            share = canary_share(route, stable=stable, canary=canary)
            if share is None:
                return Served(
                    weight=None, problem=f"no rule of HTTPRoute {namespace}/{name} has both {stable} and {canary}"
                )
            shares.append(share)
        return Served(weight=max(shares))

    def is_served(self, standing: Standing, weight: Weight) -> bool:
        """Whether users get this weight by all accounts: the router's own, and the controller's, which may lag."""
        told = standing.share
        if not standing.is_verified or (told != weight and not (told is None and weight == NOTHING)):
            return False
        return self.served(standing).weight == weight

    def address(self, service: str) -> str:
        """Where a Service answers inside the cluster."""
        host = f"http://{service}.{self.settings.namespace}.svc"
        with suppress(TargetFailed):
            ports = (self.cluster.get(SERVICE, self.settings.namespace, service).get("spec") or {}).get("ports") or []
            if ports and ports[0].get("port") not in (None, 80):
                return f"{host}:{ports[0]['port']}"
        return host

    def logs(self, standing: Standing, version: str, *, lines: int) -> str:
        """What is wrong with the pods of a version, and the last lines they wrote."""
        pods = self.pods(standing, version)
        container = self.containers.main(standing.template)
        written = [self._log(name, container, lines=lines) for name in pods.names[-MOST_PODS:]]
        return "\n".join((*map(str, pods.troubles), *(text for text in written if text)))

    def _log(self, pod: str, container: str, *, lines: int) -> str:
        """The log of a pod; of its former run where it does not run now; empty where it has none."""
        for previous in (False, True):
            with suppress(NotThere, Invalid):
                text = self.cluster.logs(
                    self.settings.namespace, pod, container=container, lines=lines, previous=previous
                )
                if text.strip():
                    return text.strip()
        return ""
