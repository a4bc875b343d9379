"""What stands under `target: argo:` in rollout.yml. No cluster is asked here, and its client is not imported."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from rollout.settings import Duration
from rollout.targets.kubernetes.settings import ObjectName


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RolloutSettings(_Settings):
    """One Rollout of several that are the service together."""

    rollout: ObjectName = Field(description="The Rollout's name.", examples=["lobechat"])
    container: ObjectName | None = Field(
        None, description="The container that runs the image. Left out: those whose image is of this repository."
    )


class ArgoSettings(_Settings):
    """A Rollout (argoproj.io/v1alpha1) with a canary strategy and traffic routing, which is there already."""

    namespace: ObjectName = Field("default", description="The namespace of the Rollout.")
    rollout: ObjectName | None = Field(None, description=RolloutSettings.model_fields["rollout"].description)
    container: ObjectName | None = Field(None, description=RolloutSettings.model_fields["container"].description)
    components: tuple[RolloutSettings, ...] = Field(
        (), description="Instead of one Rollout: several that are released, moved and taken back together."
    )
    drive: Literal["weights", "steps"] = Field(
        "weights",
        description="weights: the plan's steps are written into the Rollout at each deployment. steps: the Rollout's "
        "own steps are kept and their pauses ended one after the other; they must be at the plan's weights.",
    )
    idle_pods: StrictInt = Field(
        1, ge=1, le=1000, description="How many pods the canary has at weight 0, with `drive: weights`."
    )
    replicas: StrictInt | None = Field(
        None,
        ge=1,
        le=10000,
        description="How many pods the very first release gets, where the Rollout was made with `replicas: 0`.",
    )
    ready_timeout: Duration = Field(
        timedelta(minutes=5), description="How long new pods may take to become ready, at a deployment and a promotion."
    )
    settle_timeout: Duration = Field(
        timedelta(minutes=1), description="How long Argo Rollouts may take to carry out a change of the weight."
    )
    kubeconfig: Path | None = Field(
        None, description="The kubeconfig. Left out: the pod's own account in a cluster, else KUBECONFIG."
    )
    context: str | None = Field(None, min_length=1, description="The kubeconfig's context. Left out: its current one.")
    in_cluster: StrictBool = Field(False, description="Whether only the pod's own account will do.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.in_cluster and (self.kubeconfig is not None or self.context is not None):
            raise ValueError("in_cluster: leave out kubeconfig and context")
        if self.components and (self.rollout is not None or self.container is not None):
            raise ValueError("components: write rollout and container inside the components")
        if not self.components and self.rollout is None:
            raise ValueError("rollout: name the Rollout")
        if len({each.rollout for each in self.components}) != len(self.components):
            raise ValueError("components: each Rollout is named once")
        return self

    @property
    def parts(self) -> tuple[ArgoSettings, ...]:
        """The settings of each Rollout, in the order written."""
        if not self.components:
            return (self,)
        return tuple(
            self.model_copy(update={"rollout": each.rollout, "container": each.container, "components": ()})
            for each in self.components
        )

    @property
    def name(self) -> str:
        """The Rollout's name, where there is one."""
        assert self.rollout is not None
        return self.rollout
