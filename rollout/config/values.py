"""The kinds of values that rollout.yml is written in, beside durations and percentages: each checks itself.

What is wrong is said in the words of the file. Nothing here knows which key a value stands behind.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from rollout.core import selector as selectors
from rollout.core.plan import Weight
from rollout.core.selector import VERSION, NotASelector, Selector
from rollout.settings import Percent

NAME: Final = r"^[a-z0-9][a-z0-9-]{0,39}$"
LABEL: Final = r"^[a-zA-Z_][a-zA-Z0-9_]*$"

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(rf"(?:[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?/)?{_COMPONENT}(?:/{_COMPONENT})*")


class Section(BaseModel):
    """A mapping of rollout.yml: every key is known, and what it holds does not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def wrong(message: str, hint: str) -> PydanticCustomError:
    """What a validator raises to say what to do as well."""
    return PydanticCustomError("rollout", "{message}", {"message": message, "hint": hint})


def set_even_if_empty(value: object) -> object:
    """`access_log:` with nothing behind it is set, with its defaults."""
    return {} if value is None else value


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        raise wrong("a name is small letters, digits and dashes, at most 40", "write it like lobechat or chat-2")
    return text


def _label(text: str) -> str:
    if not re.fullmatch(LABEL, text):
        raise wrong("this is not the name of a label", "write it like route: letters, digits and _")
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
    if not found.names_version:
        raise wrong(
            f"no label equals {VERSION}, so canary and stable would be the same series",
            f'add the label that tells them apart, such as version="{VERSION}"',
        )
    return found


def _query(text: str) -> str:
    if VERSION not in text:
        raise wrong(
            f"the query lacks {VERSION}, so canary and stable would be the same number",
            f'add the label that tells them apart, such as version="{VERSION}"',
        )
    return text


def _rate(ratio: float) -> float:
    if not 0 < ratio < 1:
        raise wrong(
            "a limit is above 0% and below 100%", "for a metric that must never fail write a small one, such as 0.1%"
        )
    return ratio


def _multiple(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < math.inf:
        raise wrong(
            "max_ratio is a number of 1 or more", "1.5 allows the canary half as many failures again as stable has"
        )
    return float(value)


def _quantile(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.5 <= value < 1:
        raise wrong("a quantile is a number from 0.5 to below 1", "write 0.95 for p95: 95 of 100 requests are faster")
    return float(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(
            "the limit of a query is a bare number", "write it in the query's own unit: a query that gives 0.8 has no %"
        )
    return float(value)


Name = Annotated[StrictStr, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME})]
Label = Annotated[StrictStr, AfterValidator(_label), WithJsonSchema({"type": "string", "pattern": LABEL})]
Image = Annotated[StrictStr, AfterValidator(_image)]

WeightNumber = Annotated[
    Weight,
    PlainValidator(_weight),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100, "examples": [0, 1, 5, 12.5, 100]}),
]
"""A bare number in the file, a Weight in the program."""

SelectorText = Annotated[
    Selector, PlainValidator(_selector), WithJsonSchema({"type": "string", "pattern": r"\$version"})
]
"""Text in the file, a Selector in the program."""

QueryText = Annotated[
    StrictStr, AfterValidator(_query), WithJsonSchema({"type": "string", "pattern": r"^[\s\S]*\$version"})
]
"""PromQL with `$version`."""

Rate = Annotated[Percent, AfterValidator(_rate)]
"""A failure rate that may be a limit."""

Multiple = Annotated[
    float, PlainValidator(_multiple), WithJsonSchema({"type": "number", "minimum": 1, "examples": [1.5]})
]
Quantile = Annotated[
    float,
    PlainValidator(_quantile),
    WithJsonSchema({"type": "number", "minimum": 0.5, "exclusiveMaximum": 1, "examples": [0.95, 0.99]}),
]
Number = Annotated[float, PlainValidator(_number), WithJsonSchema({"type": "number"})]


def probability(good: str) -> AfterValidator:
    """Below 50 %, above 0 %; `good` is what the hint offers."""

    def check(ratio: float) -> float:
        if not 0 < ratio < 0.5:
            raise wrong("this probability is above 0% and below 50%", f"{good} is a good choice")
        return ratio

    return AfterValidator(check)


def longer_than_zero(good: str) -> AfterValidator:
    """A duration that is not 0s; `good` is what the hint offers."""

    def check(duration: timedelta) -> timedelta:
        if duration <= timedelta(0):
            raise wrong("this must be longer than 0s", f"{good} is a good choice")
        return duration

    return AfterValidator(check)
