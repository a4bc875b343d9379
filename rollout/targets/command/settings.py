"""What stands under `target: command:` in rollout.yml: the user's programs, and what they get and may take.

Nothing is started here, and whether a program exists is for `rollout doctor` to say.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr

from rollout.settings import Duration

_EXAMPLE: Final = "scripts/platform"


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("an argument cannot hold a NUL character")
    return text


def _program(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv[0].strip():
        raise ValueError("the first element is the program, and it is empty")
    return argv


def _duration_above_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("a program needs some time: more than 0s")
    return value


Argv = Annotated[
    tuple[Annotated[StrictStr, AfterValidator(_argument)], ...], Field(min_length=1), AfterValidator(_program)
]
Above = Annotated[Duration, AfterValidator(_duration_above_zero)]
Variable = Annotated[StrictStr, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class CommandSettings(BaseModel):
    """Any platform, through programs of your own; each is run without a shell."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    deploy: Argv = Field(
        description="Runs a release as canary at weight 0, and ends when it is ready.", examples=[[_EXAMPLE, "deploy"]]
    )
    set_weight: Argv = Field(
        description="Gives the canary a share of the traffic, and ends when it is served.",
        examples=[[_EXAMPLE, "set-weight"]],
    )
    get_weight: Argv = Field(
        description="Tells which share of the traffic the running gateway gives to the canary; without `status`, also "
        "what runs.",
        examples=[[_EXAMPLE, "get-weight"]],
    )
    promote: Argv = Field(
        description="Makes the canary the stable release and keeps the former one in reserve.",
        examples=[[_EXAMPLE, "promote"]],
    )
    rollback: Argv = Field(
        description="Sends all new requests back to stable, or, after a promotion, to the reserve.",
        examples=[[_EXAMPLE, "rollback"]],
    )
    status: Argv | None = Field(
        None,
        description="Tells what runs: stable, canary and reserve. Left out: `get_weight` tells it.",
        examples=[[_EXAMPLE, "status"]],
    )
    retire: Argv | None = Field(
        None,
        description="Removes a canary without traffic, or stops the reserve. Left out: they go on running.",
        examples=[[_EXAMPLE, "retire"]],
    )
    discard: Argv | None = Field(
        None, description="Removes the reserve. Left out: it is kept.", examples=[[_EXAMPLE, "discard"]]
    )
    logs: Argv | None = Field(
        None,
        description="Prints the last lines of the canary. Left out: there are none in the comment.",
        examples=[[_EXAMPLE, "logs"]],
    )
    resolve: Argv | None = Field(
        None,
        description="Tells the digest of a tag, where releases are no container images. Left out: the registry of "
        "`image` is asked.",
        examples=[[_EXAMPLE, "resolve"]],
    )
    timeout: Above = Field(
        timedelta(seconds=30),
        description="How long `get_weight`, `status`, `set_weight`, `logs` and `resolve` may take.",
    )
    work_timeout: Above = Field(
        timedelta(minutes=10),
        description="How long `deploy`, `promote`, `rollback`, `retire` and `discard` may take.",
    )
    env: tuple[Variable, ...] = Field(
        (),
        description="The variables that the programs get, beside PATH, HOME, USER, LOGNAME, LANG, LC_ALL, TZ and "
        "TMPDIR. Their values are masked in everything that is told.",
        examples=[["AWS_REGION", "AWS_PROFILE"]],
    )
    directory: Path | None = Field(
        None, description="The directory they run in; relative paths count from it. Left out: that of rollout.yml."
    )
