"""The canary annotations of ingress-nginx: a second Ingress of our own, for the same hosts and paths, with a weight.

Source: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#canary. The project is
archived; this is for clusters that still run it. It does not say when it has taken a weight up, so that is given a
fixed time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rollout.core.finding import Finding, Severity
from rollout.core.plan import NOTHING, Weight
from rollout.errors import RolloutError, TargetFailed
from rollout.targets.kubernetes import notes
from rollout.targets.kubernetes.client import INGRESS, Cluster, Json
from rollout.targets.kubernetes.names import get
from rollout.targets.kubernetes.objects import MANAGED, canary_name, is_ours
from rollout.targets.kubernetes.routing import Routing
from rollout.targets.kubernetes.waiting import Patience

UPTAKE_SECONDS: Final = 1.0
"""How long the controller is given to follow a change; it does so several times a second."""

_PREFIX: Final = "nginx.ingress.kubernetes.io"
_WEIGHT: Final = f"{_PREFIX}/canary-weight"
_TOTAL: Final = f"{_PREFIX}/canary-weight-total"


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxIngress:
    """`routing.Router` for one Ingress."""

    cluster: Cluster
    namespace: str
    ingress: str
    deployment: str
    service: str
    canary: str
    patience: Patience
    header: str = ""
    value: str = ""

    def read(self) -> Routing:
        """See Router."""
        found = self._find()
        if found is None:
            return Routing(weight=NOTHING, is_wired=False)
        marks = notes.annotations_of(found)
        try:
            percent = 100 * int(marks.get(_WEIGHT, "0")) / int(marks.get(_TOTAL, "100"))
            return Routing(weight=Weight(round(percent, 1)), is_wired=True)
        except (ValueError, ZeroDivisionError):
            problem = f"the weight of Ingress {canary_name(self.ingress)} is no number"
            return Routing(weight=None, is_wired=True, problem=problem)

    def weigh(self, weight: Weight) -> None:
        """See Router."""
        before = self._find()
        main = get(self.cluster, INGRESS, self.namespace, self.ingress)
        after = self.cluster.apply(INGRESS, self.namespace, self._made(main, weight), force=True)
        if before is None or before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]:
            self.patience.sleep(UPTAKE_SECONDS)

    def unwire(self) -> None:
        """See Router."""
        if self._find() is not None:
            self.cluster.delete(INGRESS, self.namespace, canary_name(self.ingress))
            self.patience.sleep(UPTAKE_SECONDS)

    def diagnose(self) -> Iterator[Finding]:
        """See Router."""
        subject = f"Ingress {self.ingress}"
        try:
            main = get(self.cluster, INGRESS, self.namespace, self.ingress)
            self._find()
            self._made(main, NOTHING)
        except RolloutError as wrong:
            yield Finding(subject=subject, severity=Severity.ERROR, message=wrong.message, hint=wrong.hint)
            return
        yield Finding(
            subject=subject,
            severity=Severity.WARNING,
            message="ingress-nginx is archived since March 2026, and each request is split anew",
            hint="Move to a gateway of the Gateway API, and name its HTTPRoute as `route`.",
        )

    def _find(self) -> Json | None:
        found = self.cluster.find(INGRESS, self.namespace, canary_name(self.ingress))
        if found is not None and not is_ours(found):
            raise TargetFailed(
                f"Ingress {canary_name(self.ingress)} is there already, and was not made by rollout",
                hint="Remove or rename it.",
            )
        return found

    def _made(self, main: Json, weight: Weight) -> Json:
        rules = [made for rule in main["spec"].get("rules") or () if (made := self._rule(rule)) is not None]
        if not rules:
            raise TargetFailed(
                f"Ingress {self.ingress} has no path with the backend {self.service}",
                hint="Name the Service that the Ingress sends requests to as `service`.",
            )
        marks = {f"{_PREFIX}/canary": "true", _WEIGHT: str(weight.permille), _TOTAL: "1000"}
        if self.header:
            marks |= {f"{_PREFIX}/canary-by-header": self.header, f"{_PREFIX}/canary-by-header-value": self.value}
        kept = {key: main["spec"][key] for key in ("ingressClassName", "tls") if key in main["spec"]}
        metadata = {
            "name": canary_name(self.ingress),
            "labels": {**MANAGED, notes.OF: self.deployment},
            "annotations": marks,
        }
        return {"metadata": metadata, "spec": {**kept, "rules": rules}}

    def _rule(self, rule: dict[str, Any]) -> dict[str, Any] | None:
        """The rule with the paths that lead to the service, leading to the canary; None where none does."""
        paths = []
        for path in rule.get("http", {}).get("paths") or ():
            service = path.get("backend", {}).get("service") or {}
            if service.get("name") == self.service:
                paths.append({**path, "backend": {"service": {**service, "name": self.canary}}})
        return {**rule, "http": {"paths": paths}} if paths else None
