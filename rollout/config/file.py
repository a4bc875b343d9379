"""The keys of rollout.yml: their types, defaults and descriptions. The JSON Schema and the reference come from here.

Only what one value can say about itself is checked here; what several must agree on is in `rules`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, StrictBool, StrictInt

from rollout.checks import Check
from rollout.config.gates import GateSection
from rollout.config.github import GitHubSection
from rollout.config.values import (
    Image,
    Name,
    Section,
    WeightNumber,
    longer_than_zero,
    probability,
    set_even_if_empty,
)
from rollout.core.language import Language
from rollout.core.pacing import Supersede
from rollout.core.plan import Advance, OnBlind, OnDrift
from rollout.metrics.settings import AccessLogSettings, PrometheusSettings
from rollout.notify.settings import Channel
from rollout.settings import Duration, Percent
from rollout.targets.argo.settings import ArgoSettings
from rollout.targets.command.settings import CommandSettings
from rollout.targets.kubernetes.settings import KubernetesSettings
from rollout.targets.nginx.settings import NginxSettings

_ONE: Final[dict[str, JsonValue]] = {"minProperties": 1, "maxProperties": 1}


class TargetSection(Section):
    """Where the service runs and how its traffic is split: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=_ONE)

    nginx: Annotated[NginxSettings | None, BeforeValidator(set_even_if_empty)] = Field(
        default=None, description="One machine with nginx and a container engine."
    )
    kubernetes: KubernetesSettings | None = Field(
        default=None, description="A Deployment in a cluster, behind a route of the Gateway API or an Ingress."
    )
    argo: ArgoSettings | None = Field(
        default=None, description="A Rollout of Argo Rollouts, whose controller splits the traffic."
    )
    command: CommandSettings | None = Field(
        default=None, description="Any platform, through programs of your own; each is run without a shell."
    )


class MetricsSection(Section):
    """Where the metrics come from: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=_ONE)

    prometheus: Annotated[PrometheusSettings | None, BeforeValidator(set_even_if_empty)] = Field(
        default=None, description="A Prometheus server, or one that answers the same queries."
    )
    access_log: Annotated[AccessLogSettings | None, BeforeValidator(set_even_if_empty)] = Field(
        default=None, description="The nginx target's own access log; knows http_requests_total only."
    )


class StepSection(Section):
    """A weight, how long it soaks at least, and whether a person must approve before traffic moves on."""

    weight: WeightNumber = Field(
        description="The canary's share of the traffic in percent, in tenths. Weights rise, and the last is 100."
    )
    soak: Duration = Field(description="How long the step lasts at least, once the gateway serves the weight.")
    approve: StrictBool = Field(default=False, description="Whether a person must approve before traffic moves on.")
    min_soak: Duration | None = Field(
        default=None,
        description="How long the step lasts at least where evidence may shorten it (`advance: evidence`). Left out: "
        "all of the soak at weight 0, at the first step above 0 and at 100; 5m elsewhere.",
    )


class BlindSection(Section):
    """What happens when the metrics stay away while users are on the canary."""

    budget: Duration = Field(default=timedelta(minutes=5), description="How long the metrics may be away.")
    action: OnBlind = Field(
        default=OnBlind.ROLL_BACK, description="What happens then: back to stable, or hold the weight and ask a person."
    )


class InstancesSection(Section):
    """What the canary's processes may do, whatever the metrics say. It is outside the promise of `false_rollback`."""

    max_restarts: StrictInt = Field(
        default=2, ge=0, description="How many restarts of the canary's processes are borne; one more takes it back."
    )
    max_unready: Duration = Field(
        default=timedelta(minutes=1),
        description="How long an instance of the canary may be unready while users are on it.",
    )


class WaveSection(Section):
    """One cluster of several that are released one after the other."""

    name: Name = Field(description="What it is called in reports.", examples=["eu"])
    context: str | None = Field(
        default=None, min_length=1, description="The kubeconfig's context. Left out: that of the target."
    )
    kubeconfig: Path | None = Field(default=None, description="The kubeconfig. Left out: that of the target.")


class File(Section):
    """How one service is released: the keys of rollout.yml."""

    service: Name = Field(
        description="The service's name: small letters, digits and dashes, at most 40.", examples=["lobechat"]
    )
    environment: Name = Field(
        default="production",
        description="Where it is released. One rollout runs at a time for a service in an environment.",
        examples=["production", "staging"],
    )
    image: Image = Field(
        description="The image's repository, without tag and digest: the release supplies them.",
        examples=["ghcr.io/example/lobechat"],
    )
    target: TargetSection = Field(description="Where the service runs and how its traffic is split: one target.")
    waves: tuple[WaveSection, ...] = Field(
        default=(),
        description="Several clusters one after the other, for the targets kubernetes and argo: the steps are gone "
        "through in the first one, then in the second, and so on. Weights and verdicts are those of all together.",
    )
    metrics: MetricsSection = Field(description="Where the metrics come from: one source.")
    steps: tuple[StepSection, ...] = Field(
        default=(), description="The weights in order. Left out, the steps of the built-in policy."
    )
    gates: tuple[GateSection, ...] = Field(
        default=(), description="What the canary may do. Left out, the gates of the built-in policy."
    )
    false_rollback: Annotated[Percent, probability("1%")] = Field(
        default=0.01, description="How probable it may be that the whole rollout takes a healthy canary back."
    )
    dispersion: Annotated[float, Field(ge=1, le=20)] = Field(
        default=3.0,
        description="How many failures come together on average: 1 where they are independent, more in bursts.",
    )
    advance: Advance = Field(
        default=Advance.SOAK,
        description="What ends a step: its soak, or evidence before that each gate's limit is kept.",
    )
    beta: Annotated[Percent, probability("5%")] = Field(
        default=0.05,
        description="With `advance: evidence`: how probable it may be that a step is shortened for a gate whose limit "
        "is broken.",
    )
    instances: InstancesSection = Field(
        default=InstancesSection(), description="What the canary's processes may do, whatever the metrics say."
    )
    interval: Annotated[Duration, longer_than_zero("the scrape interval of the metrics, such as 15s,")] = Field(
        default=timedelta(seconds=15),
        description="The time from one look at the metrics to the next; the scrape interval is a good choice.",
    )
    warm_up: Duration = Field(
        default=timedelta(minutes=2), description="How long a new instance is judged only for catastrophes."
    )
    blind: BlindSection = Field(
        default=BlindSection(), description="What happens when the metrics stay away while users are on the canary."
    )
    drift: OnDrift = Field(
        default=OnDrift.HOLD,
        description="What happens when the gateway serves less than was ordered: hold and ask a person, or restore it. "
        "More than ordered is always brought back.",
    )
    patience: Duration = Field(
        default=timedelta(hours=1),
        description="How long past its soak a step may lack a healthy verdict before a person is asked.",
    )
    drain: Duration = Field(
        default=timedelta(seconds=30),
        description="How long answers that have begun may go on at a version that gets no new requests.",
    )
    keep: Duration = Field(
        default=timedelta(hours=24),
        description="How long the former stable release stays in reserve after a promotion.",
    )
    checks: tuple[Check, ...] = Field(
        default=(), description="Requests and programs that must succeed before the first user, at weight 0."
    )
    language: Language = Field(
        default=Language.EN, description="The language of comments and messages: English or simplified Chinese."
    )
    supersede: Supersede = Field(
        default=Supersede.QUEUE,
        description="What a newer release does while one is under way: wait for its end, replace it (which goes back "
        "to stable first), or be refused. In GitHub Actions; the command line always refuses.",
    )
    github: GitHubSection = Field(
        default=GitHubSection(),
        description="How a rollout runs in GitHub Actions, and who steers it from the pull request.",
    )
    notify: tuple[Channel, ...] = Field(
        default=(),
        description="Whom to tell: URLs such as `${SLACK_WEBHOOK}`, or a `url` with the `events` it hears of. They are "
        "secrets and appear nowhere.",
    )
