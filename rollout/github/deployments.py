"""The record of a rollout on the repository's Environments page: one deployment, and a status when something changes.

It is a view and never the truth: whoever wants to know where a rollout stands reads the journal. Facts about states and
their order: https://docs.github.com/rest/deployments/statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self, assert_never

from rollout.core.release import Release
from rollout.core.state import Phase, State
from rollout.errors import GitHubForbids, GitHubLimits, GitHubUnavailable
from rollout.github.api import Repository

LONGEST: Final = 140
"""How many characters the description of a status may have."""
SELDOM: Final = timedelta(minutes=15)
"""How long a description stands before another one replaces it, where nothing but the words has changed."""


class Standing(StrEnum):
    """How a deployment stands, by GitHub's names for it."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    PENDING = "pending"
    """It waits for a person."""
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    """The rollout was lost: nobody can say how it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the Environments page says of a rollout."""

    standing: Standing
    description: str
    """One line; cut where it is longer than GitHub allows."""
    log_url: str = ""
    """Where the run is."""
    environment_url: str = ""
    """Where the service is."""

    def body(self) -> dict[str, str]:
        """As it is sent."""
        urls = {"log_url": self.log_url, "environment_url": self.environment_url}
        short = self.description if len(self.description) <= LONGEST else f"{self.description[: LONGEST - 1]}…"
        return {"state": str(self.standing), "description": short} | {name: url for name, url in urls.items() if url}


def standing_of(state: State, *, needs_a_person: bool) -> Standing:
    """How a rollout in this state stands for GitHub; `needs_a_person` says that it waits for an approval."""
    match state.phase:
        case Phase.PROMOTED:
            return Standing.SUCCESS
        case Phase.ROLLED_BACK:
            return Standing.FAILURE
        case Phase.ROLLING_BACK:
            return Standing.IN_PROGRESS
        case Phase.DEPLOYING | Phase.CHECKING | Phase.STEPPING | Phase.PROMOTING:
            if state.paused or needs_a_person:
                return Standing.PENDING
            return Standing.QUEUED if state.phase is Phase.DEPLOYING else Standing.IN_PROGRESS
        case _:
            assert_never(state.phase)


class DeploymentRecord:
    """The deployment of one rollout. It is found again by its task, and made when there is something to say."""

    def __init__(
        self, repository: Repository, *, service: str, environment: str, rollout: str, release: Release
    ) -> None:
        self._repository = repository
        self._service = service
        self._environment = environment
        self._rollout = rollout
        self._release = release
        self._id: int | None = None
        self._said: _Said | None = None

    def tell(self, status: Status, *, now: datetime, at_once: bool = False) -> bool:
        """Say how the rollout stands; whether anything had to be written.

        A standing that changes is said at once, and so is what the caller says is news. Where only the words change,
        they are said when the last ones have stood for a quarter of an hour, as every status counts against the limits
        of the repository. Raises GitHubUnavailable and its kinds.
        """
        if self._id is None:
            self._id = self._find() or self._create()
            self._said = next(reversed(self._statuses(self._id)), None)
        news = _Said.of(status, at=now)
        if (said := self._said) is not None:
            same = replace(said, at=now) == news
            if same or (said.standing == news.standing and not at_once and now - said.at < SELDOM):
                return False
        self._post(self._id, status)
        self._said = news
        return True

    def reinstate(self, former: Release, *, log_url: str = "") -> bool:
        """After a rollback, show the former release as the active one again; whether there is a record of it.

        Its own deployment gets a fresh success, once however often this is called.
        """
        found = self._repository.get("deployments", query={"environment": self._environment, "per_page": 100}).body
        of_former = [each for each in found if self._is_of(each, former)]
        if not of_former:
            return False
        last = int(max(of_former, key=_by_id)["id"])
        said = self._statuses(last)
        status = Status(
            standing=Standing.SUCCESS,
            description=f"active again: {self._release.tag} went back (rollout {self._rollout})",
            log_url=log_url,
            environment_url=next((one.environment_url for one in reversed(said) if one.environment_url), ""),
        )
        words = status.body()["description"]
        if not said or (said[-1].standing, said[-1].description) != (str(status.standing), words):
            self._post(last, status)
        return True

    @property
    def _task(self) -> str:
        return f"rollout:{self._service}:{self._rollout}"

    def _is_of(self, deployment: Mapping[str, Any], release: Release) -> bool:
        task = deployment["task"]
        if not task.startswith(f"rollout:{self._service}:") or task == self._task:
            return False
        payload = deployment["payload"]
        return isinstance(payload, dict) and payload.get("digest") == release.digest

    def _find(self) -> int | None:
        found = self._repository.get(
            "deployments", query={"task": self._task, "environment": self._environment, "per_page": 100}
        ).body
        return int(min(found, key=_by_id)["id"]) if found else None

    def _create(self) -> int:
        """A write that seems to have failed may have taken effect, so it is looked for. No branch is merged for it."""
        body = {
            "ref": self._release.commit or self._release.tag,
            "task": self._task,
            "environment": self._environment,
            "description": f"{self._service} {self._release.tag}"[:LONGEST],
            "auto_merge": False,
            "required_contexts": [],
            "payload": {
                "rollout": self._rollout,
                "service": self._service,
                "tag": self._release.tag,
                "digest": self._release.digest,
            },
        }
        try:
            return int(self._repository.send("POST", "deployments", body).body["id"])
        except (GitHubForbids, GitHubLimits):
            raise
        except GitHubUnavailable:
            found = self._find()
            if found is None:
                raise
            return found

    def _statuses(self, deployment: int) -> tuple[_Said, ...]:
        """What was said so far, the oldest first."""
        found = self._repository.get(f"deployments/{deployment}/statuses", query={"per_page": 100}).body
        return tuple(
            _Said(
                at=datetime.fromisoformat(one["created_at"]),
                standing=one["state"],
                description=one["description"],
                log_url=one.get("log_url") or "",
                environment_url=one.get("environment_url") or "",
            )
            for one in sorted(found, key=_by_id)
        )

    def _post(self, deployment: int, status: Status) -> None:
        """Said twice, a status does no harm."""
        self._repository.send("POST", f"deployments/{deployment}/statuses", status.body(), again=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A status as GitHub has it; others may have set standings that are none of ours."""

    at: datetime
    standing: str
    description: str
    log_url: str
    environment_url: str

    @classmethod
    def of(cls, status: Status, *, at: datetime) -> Self:
        return cls(
            at=at,
            standing=str(status.standing),
            description=status.body()["description"],
            log_url=status.log_url,
            environment_url=status.environment_url,
        )


def _by_id(each: Mapping[str, Any]) -> int:
    return int(each["id"])
