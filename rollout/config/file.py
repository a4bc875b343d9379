"""The keys of rollout.yml: their types, defaults and descriptions. The JSON Schema and the reference come from here.

Only what one value can say about itself is checked here; what several must agree on is in `rules`.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    SecretStr,
    StrictBool,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from rollout.checks import Check
from rollout.core import selector as selectors
from rollout.core.plan import OnBlind, OnDrift, Weight
from rollout.core.selector import VERSION, NotASelector, Selector
from rollout.metrics.settings import AccessLogSettings, PrometheusSettings
from rollout.settings import Duration, Percent
from rollout.targets.nginx.settings import NginxSettings

NAME: Final = r"^[a-z0-9][a-z0-9-]{0,39}$"

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(rf"(?:[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?/)?{_COMPONENT}(?:/{_COMPONENT})*")


def wrong(message: str, hint: str) -> PydanticCustomError:
    """What a validator raises to say what to do as well."""
    return PydanticCustomError("rollout", "{message}", {"message": message, "hint": hint})


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise wrong("a name is small letters, digits and dashes, at most 40", "write it like lobechat or chat-2")
    return text


def _image(text: str) -> str:
    last = text.rpartition("/")[2]
    if "@" in text:
        raise wrong("the image has a digest", "leave out what follows the @; the release supplies the digest")
    if ":" in last:
        raise wrong("the image has a tag", "leave out what follows the last colon; the release supplies the tag")
    if not _IMAGE.fullmatch(text) or len(text) > 255:
        raise wrong(
            "this is not the name of an image's repository", "write it like ghcr.io/example/lobechat, in small letters"
        )
    return text


def _weight(value: object) -> Weight:
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)? ?%?", value):
        raise wrong("a weight is a number without quotes or percent sign", f"write {value.rstrip('% ')}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(
            "a weight is a number from 0 to 100", "it is the canary's share of the traffic in percent, such as 5"
        )
    try:
        return Weight(float(value))
    except ValueError as error:
        raise wrong(str(error), "the finest weight is 0.1, and the last one is 100") from None


def _selector(value: object) -> Selector:
    if not isinstance(value, str):
        raise wrong("a selector is text", f"write it in quotes, such as 'http_requests_total{{version=\"{VERSION}\"}}'")
    try:
        found = selectors.parse(value)
    except NotASelector as error:
        raise wrong(
            f"this is not a selector: {error}", "it is a metric's name and labels, such as 'errors_total{code=\"500\"}'"
        ) from None
    if not any(VERSION in one.value and one.operator in ("=", "=~") for one in found.matchers):
        raise wrong(
            f"no label equals {VERSION}, so canary and stable would be the same counters",
            f'add the label that tells them apart, such as version="{VERSION}"',
        )
    return found


def _rate(ratio: float) -> float:
    if not 0 < ratio < 1:
        raise wrong(
            "a limit is above 0% and below 100%", "for a metric that must never fail write a small one, such as 0.1%"
        )
    return ratio


def _probability(ratio: float) -> float:
    if not 0 < ratio < 0.5:
        raise wrong("false_rollback is above 0% and below 50%", "1% is a good choice")
    return ratio


def _multiple(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < math.inf:
        raise wrong(
            "max_ratio is a number of 1 or more", "1.5 allows the canary half as many failures again as stable has"
        )
    return float(value)


def _above_zero(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise wrong("this must be longer than 0s", "the scrape interval of the metrics, such as 15s, is a good choice")
    return duration


def _address(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", secret.get_secret_value()):
        raise wrong("this is not a URL", "keep it in a secret and write its variable, such as ${SLACK_WEBHOOK}")
    return secret


def _set_even_if_empty(value: object) -> object:
    """`access_log:` with nothing behind it is set, with its defaults."""
    return {} if value is None else value


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


_ONE: Final[dict[str, JsonValue]] = {"minProperties": 1, "maxProperties": 1}


class TargetSection(_Section):
    """Where the service runs and how its traffic is split: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=_ONE)

    nginx: Annotated[NginxSettings | None, BeforeValidator(_set_even_if_empty)] = Field(
        default=None, description="One machine with nginx and a container engine."
    )


class MetricsSection(_Section):
    """Where the metrics come from: exactly one of these."""

    model_config = ConfigDict(json_schema_extra=_ONE)

    prometheus: Annotated[PrometheusSettings | None, BeforeValidator(_set_even_if_empty)] = Field(
        default=None, description="A Prometheus server, or one that answers the same queries."
    )
    access_log: Annotated[AccessLogSettings | None, BeforeValidator(_set_even_if_empty)] = Field(
        default=None, description="The nginx target's own access log; knows http_requests_total only."
    )


class StepSection(_Section):
    """A weight, how long it soaks at least, and whether a person must approve before traffic moves on."""

    weight: Annotated[
        Weight,
        PlainValidator(_weight),
        WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100, "examples": [0, 1, 5, 12.5, 100]}),
    ] = Field(description="The canary's share of the traffic in percent, in tenths. Weights rise, and the last is 100.")
    soak: Duration = Field(description="How long the step lasts at least, once the gateway serves the weight.")
    approve: StrictBool = Field(default=False, description="Whether a person must approve before traffic moves on.")


_Name = Annotated[StrictStr, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME})]
_SelectorText = Annotated[
    Selector,
    PlainValidator(_selector),
    WithJsonSchema({"type": "string", "pattern": r"\$version"}),
]


class GateSection(_Section):
    """One metric and what it may do; at least one of `max` and `max_ratio`."""

    name: StrictStr = Field(
        pattern=r"^\S([^\r\n\t]{0,58}\S)?$",
        description="What the reports call it: one line, at most 60 characters.",
        examples=["http 5xx"],
    )
    failures: _SelectorText = Field(
        description="The counter of failures, with `$version` where the label of the version stands.",
        examples=['http_requests_total{service="lobechat", version="$version", code=~"5.."}'],
    )
    total: _SelectorText = Field(
        description="The counter of everything the failures are a part of.",
        examples=['http_requests_total{service="lobechat", version="$version"}'],
    )
    max: Annotated[Percent, AfterValidator(_rate)] | None = Field(
        default=None, description="The highest failure rate that is allowed."
    )
    max_ratio: (
        Annotated[float, PlainValidator(_multiple), WithJsonSchema({"type": "number", "minimum": 1, "examples": [1.5]})]
        | None
    ) = Field(
        default=None,
        description="The highest failure rate that is allowed, as a multiple of stable's in the same minutes.",
    )
    min_requests: StrictInt = Field(
        default=100, ge=1, description="How many canary requests a step needs before its verdict can be healthy."
    )
    observe: StrictBool = Field(default=False, description="Report the gate, and never act on it.")


class BlindSection(_Section):
    """What happens when the metrics stay away while users are on the canary."""

    budget: Duration = Field(default=timedelta(minutes=5), description="How long the metrics may be away.")
    action: OnBlind = Field(
        default=OnBlind.ROLL_BACK, description="What happens then: back to stable, or hold the weight and ask a person."
    )


class File(_Section):
    """How one service is released: the keys of rollout.yml."""

    service: _Name = Field(
        description="The service's name: small letters, digits and dashes, at most 40.", examples=["lobechat"]
    )
    environment: _Name = Field(
        default="production",
        description="Where it is released. One rollout runs at a time for a service in an environment.",
        examples=["production", "staging"],
    )
    image: Annotated[StrictStr, AfterValidator(_image)] = Field(
        description="The image's repository, without tag and digest: the release supplies them.",
        examples=["ghcr.io/example/lobechat"],
    )
    target: TargetSection = Field(description="Where the service runs and how its traffic is split: one target.")
    metrics: MetricsSection = Field(description="Where the metrics come from: one source.")
    steps: tuple[StepSection, ...] = Field(
        default=(), description="The weights in order. Left out, the steps of the built-in policy."
    )
    gates: tuple[GateSection, ...] = Field(
        default=(), description="What the canary may do. Left out, the gates of the built-in policy."
    )
    false_rollback: Annotated[Percent, AfterValidator(_probability)] = Field(
        default=0.01, description="How probable it may be that the whole rollout takes a healthy canary back."
    )
    dispersion: Annotated[float, Field(ge=1, le=20)] = Field(
        default=3.0,
        description="How many failures come together on average: 1 where they are independent, more in bursts.",
    )
    interval: Annotated[Duration, AfterValidator(_above_zero)] = Field(
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
    notify: tuple[Annotated[SecretStr, AfterValidator(_address)], ...] = Field(
        default=(), description="URLs to tell, such as `${SLACK_WEBHOOK}`. They are secrets and appear nowhere."
    )
