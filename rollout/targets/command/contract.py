"""What is said between Rollout and the user's programs: orders on stdin, answers on stdout, each one JSON object.

The committed JSON Schemas and `docs/command.md` come from these models. An answer is held to its model strictly: a key
that is not known, a number as text or a weight that is none is an error, as guessing would move traffic. Nothing is
run here.
"""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from rollout.core.plan import Weight
from rollout.core.release import DIGEST, TAG, Release
from rollout.targets.base import Health, Instance, Seen

VERSION: Final = 1
ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"

_WEIGHT_SCHEMA: Final[dict[str, JsonValue]] = {"minimum": 0, "maximum": 100}


class _Said(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        strict=True,
        json_schema_serialization_defaults_required=True,
    )


def _weight(value: float) -> float:
    return Weight(value).percent


Percent = Annotated[float, AfterValidator(_weight), Field(json_schema_extra=_WEIGHT_SCHEMA)]
Id = Annotated[str, Field(pattern=ID)]
Url = Annotated[str, Field(pattern=r"^https?://[!-~]+$", max_length=2048)]


class ReleaseSaid(_Said):
    """One release. A program gives back what it was given."""

    tag: str = Field(pattern=f"^{TAG.pattern}$", description="The tag, for people.")
    image: str = Field(min_length=1, max_length=512, description="The repository, without tag and digest.")
    digest: str = Field(pattern=f"^{DIGEST.pattern}$", description="What is deployed.")
    commit: str = Field("", max_length=128, description="The commit the tag points to; empty where nobody said.")

    @classmethod
    def of(cls, release: Release) -> Self:
        """What is said of a release."""
        return cls(tag=release.tag, image=release.image, digest=release.digest, commit=release.commit)

    def release(self) -> Release:
        """The release that is meant."""
        return Release(tag=self.tag, image=self.image, digest=self.digest, commit=self.commit)


# Orders.


class Address(_Said):
    """What stands in every order beside the order itself."""

    contract: Literal[1] = Field(VERSION, description="The version of this contract.")
    service: str = Field(description="The service, from rollout.yml.")
    environment: str = Field(description="The environment, from rollout.yml.")


class Order(_Said):
    """What a program is to do."""

    order: str

    def addressed(self, address: Address) -> bytes:
        """What stands on the program's stdin: one line of JSON."""
        return json.dumps({**address.model_dump(), **self.model_dump()}).encode() + b"\n"


class DeployOrder(Order):
    """Run the release as canary at weight 0 until it is ready. On failure, leave nothing of it running."""

    order: Literal["deploy"] = "deploy"
    rollout: Id = Field(description="The rollout it belongs to: it makes two deployments of one image two.")
    release: ReleaseSaid
    reference: str = Field(description="The image by digest, as an engine pulls it.")


class SetWeightOrder(Order):
    """Give the canary this share of the traffic, and end once the running gateway serves it."""

    order: Literal["set_weight"] = "set_weight"
    rollout: Id = Field(description="The rollout whose canary it is.")
    weight: Percent = Field(description="The share in percent, in tenths.")
    permille: int = Field(ge=0, le=1000, description="The same share in thousandths.")


class GetWeightOrder(Order):
    """Tell which share of the traffic the running gateway gives to the canary. Change nothing."""

    order: Literal["get_weight"] = "get_weight"


class StatusOrder(Order):
    """Tell what runs. Change nothing."""

    order: Literal["status"] = "status"


class PromoteOrder(Order):
    """Make this canary the stable release, without a moment of no backend; keep the former one in reserve."""

    order: Literal["promote"] = "promote"
    rollout: Id = Field(description="The rollout whose canary it is.")
    release: ReleaseSaid


class RollbackOrder(Order):
    """Take this rollout's release back: from canary to weight 0; from stable by way of a reserve that is ready."""

    order: Literal["rollback"] = "rollback"
    rollout: str = Field(description="The rollout; what another one deployed or promoted is left alone.")


class RetireOrder(Order):
    """Remove the canary (it gets no requests), or stop the reserve."""

    order: Literal["retire"] = "retire"
    what: Literal["canary", "reserve"]
    rollout: Id = Field(description="The rollout that deployed it.")


class DiscardOrder(Order):
    """Remove the reserve."""

    order: Literal["discard"] = "discard"
    rollout: Id = Field(description="The rollout that deployed it.")


class LogsOrder(Order):
    """Print the last lines that the last canary wrote, as plain text; also after it is gone."""

    order: Literal["logs"] = "logs"
    lines: int = Field(ge=1, description="How many lines.")


class ResolveOrder(Order):
    """Tell which digest a tag names now."""

    order: Literal["resolve"] = "resolve"
    image: str
    tag: str


# Answers.


class VersionSaid(_Said):
    """A release as it runs."""

    release: ReleaseSaid
    rollout: Id = Field(description="The rollout that deployed it.")
    url: Url = Field(description="Where it answers without the gateway.")
    health: Annotated[Health, Field(strict=False)] = Field(
        description="`ready`, `unready` (it runs and does not answer yet) or `dead` (it no longer runs)."
    )
    reason: str = Field("", max_length=1000, description="What is wrong with its processes, in a sentence, if known.")
    restarts: int = Field(0, ge=0, description="How often its processes were restarted since it was deployed.")
    wanted: int = Field(1, ge=0, description="How many instances should answer.")
    ready: int | None = Field(None, ge=0, description="How many answer. Left out: all where it is ready, else none.")

    def instance(self) -> Instance:
        """What the engine of a rollout is told."""
        answering = self.wanted if self.health is Health.READY else 0
        return Instance(
            release=self.release.release(),
            health=self.health,
            url=self.url,
            reason=self.reason,
            restarts=self.restarts,
            ready=answering if self.ready is None else self.ready,
            wanted=self.wanted,
        )


class ReserveSaid(_Said):
    """The former stable release, kept for a rollback after promotion; it need not run."""

    release: ReleaseSaid
    rollout: Id = Field(description="The rollout that deployed it.")


class RolesSaid(_Said):
    """What runs."""

    rollout: Id | None = Field(
        description="The rollout that was deployed last, whatever became of it; null before the first."
    )
    stable: VersionSaid | None = Field(description="What serves users; null before the first promotion.")
    canary: VersionSaid | None = Field(description="What is on trial, from the first sign of it until it is retired.")
    reserve: ReserveSaid | None = Field(description="The former stable release.")

    @model_validator(mode="after")
    def _are_three(self) -> Self:
        names = [each.rollout for each in (self.stable, self.canary, self.reserve) if each is not None]
        if len(names) != len(set(names)):
            raise ValueError("stable, canary and reserve are of different rollouts, even where the image is the same")
        return self


class WeightSaid(_Said):
    """The share of the traffic that the running gateway gives to the canary, and, without `status`, what runs."""

    weight: Percent | None = Field(description="In percent, in tenths; null where the gateway cannot be asked.")
    problem: str = Field("", max_length=1000, description="Why the weight is null, in a sentence.")
    rollout: Id | None = Field(None, description="See status.")
    stable: VersionSaid | None = Field(None, description="See status.")
    canary: VersionSaid | None = Field(None, description="See status.")
    reserve: ReserveSaid | None = Field(None, description="See status.")

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if (self.weight is None) != bool(self.problem.strip()):
            raise ValueError("`problem` says why `weight` is null, and is left out where it is not")
        return self

    def roles(self) -> RolesSaid:
        """What runs. Raises ValueError where the answer does not say it."""
        missing = sorted({"rollout", "stable", "canary", "reserve"} - self.model_fields_set)
        if missing:
            raise ValueError(f"{', '.join(missing)}: missing, and there is no `status` program to tell it")
        return RolesSaid(rollout=self.rollout, stable=self.stable, canary=self.canary, reserve=self.reserve)


class ResolvedSaid(_Said):
    """The digest of a tag."""

    digest: str = Field(pattern=f"^{DIGEST.pattern}$", description="`sha256:` and 64 hexadecimal digits.")


class FailureSaid(_Said):
    """What a program that ends with another exit code than 0 may print; else the last line of its stderr is told."""

    error: str = Field(min_length=1, max_length=2000, description="What went wrong, in a sentence.")
    hint: str = Field("", max_length=2000, description="What to do about it.")


class Sighting(_Said):
    """The whole of what the programs told at one look."""

    weight: Percent | None
    problem: str
    roles: RolesSaid

    @model_validator(mode="after")
    def _nobody_gets_nothing(self) -> Self:
        if self.weight and self.roles.canary is None:
            raise ValueError(f"a weight of {Weight(self.weight)} and no canary to get it")
        return self

    @property
    def served(self) -> Weight | None:
        """The weight; None where the gateway could not be asked."""
        return None if self.weight is None else Weight(self.weight)

    def seen(self) -> Seen:
        """What the engine of a rollout is told."""
        roles = self.roles
        return Seen(
            weight=self.served,
            stable=roles.stable.instance() if roles.stable else None,
            canary=roles.canary.instance() if roles.canary else None,
            reserve=roles.reserve.release.release() if roles.reserve else None,
            problem=self.problem,
        )


def first_mistake(wrong: ValidationError | ValueError) -> str:
    """Where an answer is wrong and what is wrong with it, without what it says there."""
    if not isinstance(wrong, ValidationError):
        return str(wrong)
    first = wrong.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(step)[:60] for step in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
