"""What stands under `target: kubernetes:` in rollout.yml. It imports no client and asks no cluster.

Names are held to the cluster's own patterns here, because they end in the paths of requests.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from rollout.settings import Duration, Percent

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")
_HEADER_VALUE: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,256}")
_BRANCH: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,200}")
_LONGEST_FOR_A_CANARY: Final = 63 - len("-canary")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of an object: small letters, digits, '-' and '.'")
    return value


def _short(value: str) -> str:
    if len(value) > _LONGEST_FOR_A_CANARY:
        raise ValueError(f"{value!r} is longer than {_LONGEST_FOR_A_CANARY} characters, and -canary is added to it")
    return _name(value)


def _header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of a header")
    return value


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("the value is letters, digits and . _ ~ + / = -, at most 256")
    return value


def _branch(value: str) -> str:
    if not _BRANCH.fullmatch(value) or ".." in value or value.endswith((".lock", "/", ".")):
        raise ValueError(f"{value!r} is not the name of a branch")
    return value


def _inside(value: Path) -> Path:
    if value.is_absolute() or ".." in value.parts:
        raise ValueError(f"{str(value)!r} is not a path inside the repository")
    return value


ObjectName = Annotated[str, AfterValidator(_name)]
CanaryName = Annotated[str, AfterValidator(_short)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ComponentSettings(_Settings):
    """One Deployment with what sends requests to it."""

    deployment: CanaryName = Field(description="The Deployment that runs the stable release.", examples=["lobechat"])
    service: CanaryName | None = Field(
        None, description="The Service of the stable release. Left out: the component gets no requests of users."
    )
    route: ObjectName | None = Field(None, description="The HTTPRoute that names the Service as a backend.")
    ingress: CanaryName | None = Field(
        None, description="Instead of a route: the Ingress of ingress-nginx that names the Service as a backend."
    )
    rule: Literal["all"] | Annotated[StrictInt, Field(ge=1)] | None = Field(
        None,
        description="Which of the route's rules is split, counted from 1, or `all` of those that name the Service. "
        "Needed only where several do.",
    )
    container: ObjectName | None = Field(
        None, description="The container that runs the image. Left out: those whose image is of this repository."
    )

    @model_validator(mode="after")
    def _is_routed_once(self) -> Self:
        if self.route is not None and self.ingress is not None:
            raise ValueError("a component has a route or an ingress, not both")
        if (self.route is not None or self.ingress is not None) and self.service is None:
            raise ValueError("service: name the Service that the route sends requests to")
        if self.rule is not None and self.route is None:
            raise ValueError("rule: only a route has rules to choose from")
        return self

    @property
    def is_routed(self) -> bool:
        """Whether users reach it through the gateway."""
        return self.route is not None or self.ingress is not None


class TesterSettings(_Settings):
    """How testers reach the canary whatever its weight is: by a header that the gateway matches."""

    header: Annotated[str, AfterValidator(_header)] = Field(
        "X-Rollout-Version", description="The request header that testers send."
    )
    value: Annotated[str, AfterValidator(_header_value)] = Field(
        "canary", description="The value it must have. Whoever knows it reaches the canary."
    )


class CommitSettings(_Settings):
    """Where a promotion is committed to, for clusters that follow a repository."""

    file: Annotated[Path, AfterValidator(_inside)] = Field(
        description="The manifest or kustomization that names the image, in the repository.",
        examples=["deploy/production/deployment.yaml"],
    )
    branch: Annotated[str, AfterValidator(_branch)] = Field("main", description="The branch that the cluster follows.")
    remote: Annotated[str, AfterValidator(_branch)] = Field("origin", description="The git remote to push to.")
    repository: Path = Field(Path(), description="The clone to work in. Left out: the current directory.")
    timeout: Duration = Field(
        timedelta(minutes=10), description="How long the cluster may take to follow the branch, before it is an error."
    )


class KubernetesSettings(_Settings):
    """A Deployment in a cluster, behind a route of the Gateway API or an Ingress of ingress-nginx."""

    namespace: ObjectName = Field("default", description="The namespace that everything is in.")
    deployment: CanaryName | None = Field(None, description=ComponentSettings.model_fields["deployment"].description)
    service: CanaryName | None = Field(None, description=ComponentSettings.model_fields["service"].description)
    route: ObjectName | None = Field(None, description=ComponentSettings.model_fields["route"].description)
    ingress: CanaryName | None = Field(None, description=ComponentSettings.model_fields["ingress"].description)
    rule: Literal["all"] | Annotated[StrictInt, Field(ge=1)] | None = Field(
        None, description=ComponentSettings.model_fields["rule"].description
    )
    container: ObjectName | None = Field(None, description=ComponentSettings.model_fields["container"].description)
    components: tuple[ComponentSettings, ...] = Field(
        (), description="Instead of one deployment: several that are released, moved and taken back together."
    )
    replicas: Literal["share"] | Annotated[StrictInt, Field(ge=1)] = Field(
        "share",
        description="How many pods the canary has: the share that follows its weight, at least two; or a number.",
    )
    testers: TesterSettings | None = Field(None, description="How testers reach the canary whatever its weight is.")
    mirror: Percent | None = Field(
        None,
        description="The part of the requests that is copied to the canary while its weight is 0, where the gateway "
        "can do that. The copies' answers are thrown away, and what they write is written twice.",
    )
    promote: Literal["apply", "commit"] = Field(
        "apply", description="Whether a promotion changes the Deployment, or a repository that the cluster follows."
    )
    commit: CommitSettings | None = Field(None, description="Where a promotion is committed to, with promote: commit.")
    ready_timeout: Duration = Field(
        timedelta(minutes=5), description="How long pods may take to become ready, before it is an error."
    )
    take_over: tuple[str, ...] = Field(
        (),
        description="Field managers whose fields are changed all the same, such as argocd-controller where it is told "
        "to leave the weights alone. Those of kubectl and helm always are, as they act only when somebody calls them.",
    )
    kubeconfig: Path | None = Field(
        None, description="The kubeconfig file. Left out: KUBECONFIG, else the pod's own account, else ~/.kube/config."
    )
    context: str | None = Field(None, min_length=1, description="The kubeconfig's context. Left out: the current one.")
    in_cluster: StrictBool = Field(False, description="Whether only the pod's own account will do.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        alone = (self.deployment, self.service, self.route, self.ingress, self.rule, self.container)
        if self.components and any(value is not None for value in alone):
            raise ValueError("components: write deployment, service, route and the rest inside the components")
        if not self.components and self.deployment is None:
            raise ValueError("deployment: name the Deployment that runs the stable release")
        if len({component.deployment for component in self.parts}) != len(self.parts):
            raise ValueError("components: each Deployment is named once")
        if not any(component.is_routed for component in self.parts):
            raise ValueError("route: name the HTTPRoute (or the ingress) whose weights split the traffic")
        if (self.promote == "commit") != (self.commit is not None):
            raise ValueError("commit: goes with `promote: commit`, and names the file and the branch")
        if self.in_cluster and (self.kubeconfig is not None or self.context is not None):
            raise ValueError("in_cluster: leave out kubeconfig and context")
        return self

    @property
    def parts(self) -> tuple[ComponentSettings, ...]:
        """The components, in the order written; the one there is, without `components`."""
        if self.components or self.deployment is None:
            return self.components
        return (
            ComponentSettings(
                deployment=self.deployment,
                service=self.service,
                route=self.route,
                ingress=self.ingress,
                rule=self.rule,
                container=self.container,
            ),
        )
