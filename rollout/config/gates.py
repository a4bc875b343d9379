"""The three kinds of gates as rollout.yml writes them, told apart by their keys: a failure rate, a latency, a query.

It knows the keys of each kind, and which kind a gate is meant to be; what the values of several keys must agree on is
in `gate_rules`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, StrictInt, StrictStr, Tag

from rollout.config.values import (
    Label,
    Multiple,
    Number,
    Quantile,
    QueryText,
    Rate,
    Section,
    SelectorText,
    longer_than_zero,
)
from rollout.core.gates import OnQuery, OnRegression
from rollout.settings import Duration, Increase

_MinRequests = Annotated[
    StrictInt, Field(ge=1, description="How many canary requests a step needs before its verdict can be healthy.")
]
_Observe = Annotated[StrictBool, Field(description="Report the gate, and never act on it.")]


class EmergencySection(Section):
    """A plain threshold over the last minutes. It acts only on a canary that is worse than stable."""

    max: Rate = Field(description="The failure rate from which on it acts; no lower than the gate's own `max`.")
    over: Annotated[Duration, longer_than_zero("5m")] = Field(description="The length of the window.", examples=["5m"])
    min_requests: StrictInt = Field(
        default=100, ge=1, description="Canary requests in the window, fewer of which it does not judge."
    )
    min_failures: StrictInt = Field(
        default=5, ge=1, description="Canary failures in the window, fewer of which it does not judge."
    )


class _Named(Section):
    name: StrictStr = Field(
        pattern=r"^\S([^\r\n\t]{0,58}\S)?$",
        description="What the reports call it: one line, at most 60 characters.",
        examples=["http 5xx"],
    )


class FailureSection(_Named):
    """A failure rate over two counters; at least one of `max` and `max_ratio`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "http 5xx",
                    "failures": 'http_requests_total{service="lobechat", version="$version", code=~"5.."}',
                    "total": 'http_requests_total{service="lobechat", version="$version"}',
                    "max": "2%",
                    "emergency": {"max": "3%", "over": "5m"},
                }
            ],
            "if": {"not": {"required": ["max"]}},
            "then": {"required": ["max_ratio"]},
            "dependentRequired": {"regression": ["max"], "emergency": ["max"]},
        }
    )

    failures: SelectorText = Field(
        description="The counter of failures, with `$version` where the label of the version stands.",
        examples=['http_requests_total{service="lobechat", version="$version", code=~"5.."}'],
    )
    total: SelectorText = Field(
        description="The counter of everything the failures are a part of.",
        examples=['http_requests_total{service="lobechat", version="$version"}'],
    )
    max: Rate | None = Field(default=None, description="The highest failure rate that is allowed.")
    max_ratio: Multiple | None = Field(
        default=None,
        description="The highest failure rate that is allowed, as a multiple of stable's in the same minutes.",
    )
    by: tuple[Label, ...] = Field(
        default=(),
        description="Labels within whose values the versions are compared: another mix of routes is no fault.",
        examples=[["route"]],
    )
    regression: OnRegression = Field(
        default=OnRegression.ROLL_BACK,
        description="What happens to a canary inside `max` that fails more than 1.5 times as often as stable, and more "
        "than half of `max`. Needs `max`.",
    )
    emergency: EmergencySection | None = Field(
        default=None, description="A plain threshold over the last minutes, beside the evidence. Needs `max`."
    )
    min_requests: _MinRequests = 100
    observe: _Observe = False


class LatencySection(_Named):
    """A quantile of a histogram of durations, against stable's in the same minutes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "p95 latency",
                    "histogram": 'http_request_duration_seconds_bucket{service="lobechat", version="$version"}',
                    "quantile": 0.95,
                    "max_increase": "30%",
                }
            ]
        }
    )

    histogram: SelectorText = Field(
        description="The histogram: the `_bucket` series of a classic one, or the plain name of a native one.",
        examples=['http_request_duration_seconds_bucket{service="lobechat", version="$version"}'],
    )
    quantile: Quantile = Field(default=0.95, description="Which quantile, from 0.5 to below 1.")
    max_increase: Increase = Field(
        default=0.3, description="How much higher than stable's the canary's quantile may be, up to 1000%."
    )
    min_requests: _MinRequests = 100
    observe: _Observe = False


class QuerySection(_Named):
    """Any PromQL that gives one number per version; exactly one of `max`, `min` and `max_increase`.

    It weighs no evidence, so what it does is outside the promise of `false_rollback`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "memory",
                    "query": 'max(container_memory_usage_bytes{service="lobechat", version="$version"})',
                    "max_increase": "30%",
                    "for": 5,
                    "action": "hold",
                }
            ],
            "oneOf": [{"required": [key]} for key in ("max", "min", "max_increase")],
        }
    )

    query: QueryText = Field(
        description="PromQL in which `$version` stands for `canary` and `stable`. It is sent as it is.",
        examples=['max(queue_depth{service="lobechat", version="$version"})'],
    )
    max: Number | None = Field(default=None, description="The highest value that is allowed, in the query's own unit.")
    min: Number | None = Field(default=None, description="The lowest value that is allowed, in the query's own unit.")
    max_increase: Increase | None = Field(
        default=None, description="How much higher than stable's value at the same moment the canary's may be."
    )
    scrapes: StrictInt = Field(
        default=5,
        ge=1,
        alias="for",
        description="How many values in a row must break the limit, one for each look: a number, not a duration.",
    )
    action: OnQuery = Field(
        default=OnQuery.HOLD, description="What happens then: hold the weight, or take the canary back."
    )
    observe: _Observe = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of gate."""

    section: type[BaseModel]
    named_by: tuple[str, ...]
    """The keys that it must have and that no other kind has."""

    @property
    def tag(self) -> str:
        """The name of the section, by which pydantic and the schema call the kind."""
        return self.section.__name__

    @property
    def keys(self) -> tuple[str, ...]:
        """All of its keys, as the file writes them."""
        return tuple(field.alias or name for name, field in self.section.model_fields.items())

    @property
    def words(self) -> str:
        """Its own keys, as in "a gate with `failures` and `total`"."""
        return " and ".join(f"`{key}`" for key in self.named_by)


KINDS: Final = (
    Kind(section=FailureSection, named_by=("failures", "total")),
    Kind(section=LatencySection, named_by=("histogram",)),
    Kind(section=QuerySection, named_by=("query",)),
)


def named(gate: Mapping[str, object]) -> tuple[Kind, ...]:
    """The kinds whose own keys a gate has: one where it is right, several where it mixes them."""
    return tuple(kind for kind in KINDS if not gate.keys().isdisjoint(kind.named_by))


def misspelt(gate: Mapping[str, object]) -> tuple[Kind, ...]:
    """The kinds one of whose own keys is nearly there."""
    strange = [key for key in gate if not owners(key)]
    return tuple(
        kind for kind in KINDS if any(difflib.get_close_matches(key, kind.named_by, cutoff=0.6) for key in strange)
    )


def owners(key: str) -> tuple[Kind, ...]:
    """The kinds that know a key."""
    return tuple(kind for kind in KINDS if key in kind.keys)


def telling(gate: Mapping[str, object]) -> str:
    """The first key that only one kind knows; empty where there is none."""
    return next((key for key in gate if len(owners(key)) == 1), "")


def kind_of(gate: object) -> Kind | None:
    """The kind that a gate is, or is meant to be; None where that cannot be told, or it mixes several."""
    if not isinstance(gate, Mapping):
        return None
    found = named(gate) or misspelt(gate)
    if not found:
        found = tuple(dict.fromkeys(kind for key in gate if len(owners(key)) == 1 for kind in owners(key)))
    return found[0] if len(found) == 1 else None


def _tag(gate: object) -> str | None:
    kind = kind_of(gate)
    return kind.tag if kind is not None else None


GateSection = Annotated[
    Annotated[FailureSection, Tag(FailureSection.__name__)]
    | Annotated[LatencySection, Tag(LatencySection.__name__)]
    | Annotated[QuerySection, Tag(QuerySection.__name__)],
    Discriminator(_tag),
]
"""A gate of one of the three kinds."""
