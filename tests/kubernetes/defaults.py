"""What an API server fills in where a user wrote nothing: a template read back is not the template written.

Defaults of custom resources stand in their schema; here are those of the built-in kinds.
"""

from __future__ import annotations

from tests.kubernetes.kinds import Json, Kind, copied, labels_of, name_of
from tests.kubernetes.refusals import invalid


def defaulted(kind: Kind, item: Json) -> Json:
    """The object with its defaults. Raises Refusal 422 for what admission refuses."""
    item = copied(item)
    match kind.plural:
        case "deployments":
            _workload(kind, item)
            spec = item["spec"]
            spec.setdefault("strategy", {}).setdefault("type", "RollingUpdate")
            if spec["strategy"]["type"] == "RollingUpdate":
                rolling = spec["strategy"].setdefault("rollingUpdate", {})
                rolling.setdefault("maxSurge", "25%")
                rolling.setdefault("maxUnavailable", "25%")
            spec.setdefault("revisionHistoryLimit", 10)
            spec.setdefault("progressDeadlineSeconds", 600)
        case "replicasets":
            _workload(kind, item)
        case "pods":
            _pod(item["spec"])
        case "services":
            _service(item)
        case "ingresses":
            for rule in item["spec"].get("rules") or ():
                for path in (rule.get("http") or {}).get("paths") or ():
                    path.setdefault("pathType", "ImplementationSpecific")
        case _:
            pass
    return item


def _workload(kind: Kind, item: Json) -> None:
    spec = item.get("spec") or {}
    wanted = ((spec.get("selector") or {}).get("matchLabels")) or {}
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not wanted:
        raise invalid(kind, name_of(item), [("spec.selector", "Required value")])
    if not wanted.items() <= labels.items():
        told = f"Invalid value: {labels}: `selector` does not match template `labels`"
        raise invalid(kind, name_of(item), [("spec.template.metadata.labels", told)])
    if not (template.get("spec") or {}).get("containers"):
        raise invalid(kind, name_of(item), [("spec.template.spec.containers", "Required value")])
    spec.setdefault("replicas", 1)
    _pod(template["spec"])


def _pod(spec: Json) -> None:
    for container in (*spec["containers"], *(spec.get("initContainers") or ())):
        _container(container)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")


def _container(container: Json) -> None:
    image = str(container.get("image", ""))
    untagged = "@" not in image and ":" not in image.rsplit("/", 1)[-1]
    latest = untagged or image.endswith(":latest")
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if probe in container:
            for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1)):
                container[probe].setdefault(key, value)
            container[probe].setdefault("failureThreshold", 3)
            if "httpGet" in container[probe]:
                container[probe]["httpGet"].setdefault("scheme", "HTTP")


def _service(item: Json) -> None:
    spec = item.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if "clusterIP" not in spec:
        number = sum(name_of(item).encode()) * 131 + len(labels_of(item))
        spec["clusterIP"] = f"10.96.{number // 250 % 250}.{number % 250 + 1}"
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port["port"])
