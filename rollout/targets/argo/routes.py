"""What an HTTPRoute gives the canary, read as the gateway reads it. Pure; it fetches nothing."""

from __future__ import annotations

from typing import Any

from rollout.core.plan import Weight
from rollout.targets.argo.steps import weight_of


def canary_share(route: dict[str, Any], *, stable: str, canary: str) -> Weight | None:
    """The canary's share in the rules that have both services as backends, the largest of them.

    None where no rule has both. A backend without a weight has 1 (gateway.networking.k8s.io/v1, HTTPBackendRef). Rules
    with the canary alone, such as those for testers, split nothing and do not count.
    """
    shares = []
    for rule in (route.get("spec") or {}).get("rules") or []:
        weights: dict[str, int] = {}
        for backend in rule.get("backendRefs") or []:
            weight = backend.get("weight")
            weights[str(backend.get("name"))] = 1 if weight is None else int(weight)
        if stable in weights and canary in weights:
            total = sum(weights.values())
            shares.append(weight_of(weights[canary], total))
    return max(shares, default=None)
