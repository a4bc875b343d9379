"""From settings to the components of one cluster."""

from __future__ import annotations

from rollout.targets.kubernetes.client import Cluster, Login
from rollout.targets.kubernetes.component import Component
from rollout.targets.kubernetes.gateway_api import HttpRoute
from rollout.targets.kubernetes.ingress import NginxIngress
from rollout.targets.kubernetes.objects import canary_name
from rollout.targets.kubernetes.routing import Router
from rollout.targets.kubernetes.rules import Split
from rollout.targets.kubernetes.settings import ComponentSettings, KubernetesSettings
from rollout.targets.kubernetes.waiting import Patience


def login_of(settings: KubernetesSettings) -> Login:
    """Which cluster, and as whom."""
    return Login(kubeconfig=settings.kubeconfig, context=settings.context, in_cluster=settings.in_cluster)


def components(
    settings: KubernetesSettings, cluster: Cluster, *, image: str, patience: Patience
) -> tuple[Component, ...]:
    """The components in the order written, with their routes."""
    return tuple(
        Component(
            cluster=cluster,
            settings=part,
            namespace=settings.namespace,
            image=image,
            take_over=settings.take_over,
            router=_router(settings, part, cluster, patience),
            patience=patience,
            ready_timeout=settings.ready_timeout,
        )
        for part in settings.parts
    )


def _router(
    settings: KubernetesSettings, part: ComponentSettings, cluster: Cluster, patience: Patience
) -> Router | None:
    if part.service is None or not part.is_routed:
        return None
    testers = settings.testers
    header, value = (testers.header, testers.value) if testers is not None else ("", "")
    if part.ingress is not None:
        return NginxIngress(
            cluster=cluster,
            namespace=settings.namespace,
            ingress=part.ingress,
            deployment=part.deployment,
            service=part.service,
            canary=canary_name(part.service),
            patience=patience,
            header=header,
            value=value,
        )
    return HttpRoute(
        cluster=cluster,
        namespace=settings.namespace,
        split=Split(
            route=str(part.route),
            service=part.service,
            canary=canary_name(part.service),
            rule=part.rule,
            header=header,
            value=value,
            mirror=settings.mirror,
        ),
        take_over=settings.take_over,
        patience=patience,
    )
