"""One job of a workflow: what GitHub hands to it, where its journal is, and what it hands back."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from rollout.cli.surroundings import Surroundings
from rollout.config import Configuration, parse, parse_policy
from rollout.core.pacing import LONGEST_JOB, Pacing
from rollout.core.release import TAG
from rollout.errors import ConfigurationError
from rollout.github.api import Repository, quoted
from rollout.github.refs import Refs
from rollout.github.trigger import Start
from rollout.journals.git_ref import GitRefJournal, ref_of
from rollout.report.pull_request import Links

RAW: Final = "application/vnd.github.raw+json"


@dataclass(frozen=True, kw_only=True)
class Job:
    """The variables of a job, with the repository it works on."""

    env: Mapping[str, str]
    config: Path
    """Where rollout.yml lies in the repository."""
    repository: Repository
    event: Mapping[str, Any]
    began: datetime
    around: Surroundings
    owner: str
    """Names this attempt of this run, and no other process of it."""

    def another(self) -> Repository:
        """A second client of the same repository, for another thread."""
        return _repository(self.env, self.around)

    def clock(self) -> datetime:
        """The time now."""
        return self.around.clock()

    @property
    def leave_at(self) -> datetime:
        """When the job hands over to a fresh one."""
        return self.began + LONGEST_JOB

    @property
    def links(self) -> Links:
        """Where a person finds more."""
        server = self.env.get("GITHUB_SERVER_URL", "https://github.com")
        url = f"{server}/{self.repository.name}"
        run = self.env.get("GITHUB_RUN_ID", "")
        return Links(repository_url=url, run_url=f"{url}/actions/runs/{run}" if run.isdigit() else "")

    @property
    def named(self) -> Start | None:
        """The release that the action's input names, whatever the event says."""
        tag = self.env.get("ROLLOUT_TAG", "").strip()
        if not tag:
            return None
        if not TAG.fullmatch(tag):
            raise ConfigurationError(f"{tag!r} is no tag", hint="letters, digits, '_', '.' and '-', at most 128")
        return Start(tag=tag, commit="", by=self.env.get("GITHUB_ACTOR", ""))

    @property
    def pacing(self) -> Pacing | None:
        """The pacing that the action's input names. Raises ConfigurationError."""
        text = self.env.get("ROLLOUT_PACING", "").strip()
        if not text:
            return None
        try:
            return Pacing(text)
        except ValueError:
            raise ConfigurationError(f"the input `pacing` is {text!r}", hint="write hold or wake") from None

    def ref(self, configuration: Configuration) -> str:
        """Where the journal of the service and environment lies."""
        plan = configuration.plan
        return ref_of(plan.service, plan.environment, prefix=configuration.github.journal)

    def journal(self, configuration: Configuration) -> GitRefJournal:
        """The journal of the service and environment."""
        return GitRefJournal(Refs(self.repository), ref=self.ref(configuration), sleep=self.around.sleep)

    def nearest_policy(self) -> Configuration:
        """rollout.yml as it is checked out, or else on the default branch, without the world outside.

        It tells where the journal is and who may steer. No secret is needed to read it.
        """
        text = self.config.read_text("utf-8") if self.config.is_file() else self._text("")
        return parse_policy(text, path=self.config)

    def configuration_at(self, commit: str) -> Configuration:
        """rollout.yml as it is at the commit of a release, whatever is checked out."""
        try:
            return parse(self._text(commit), path=self.config, env=self.env)
        except ConfigurationError as wrong:
            raise ConfigurationError(f"at {commit[:12]}:\n{wrong.message}", hint=wrong.hint) from None

    def _text(self, commit: str) -> str:
        path = "/".join(quoted(part) for part in self.config.parts)
        query = {"ref": commit} if commit else {}
        answer = self.repository.get(f"contents/{path}", query=query, accept=RAW, but=frozenset({404}))
        if answer.status == 404:
            where = f"at {commit[:12]}" if commit else "on the default branch"
            raise ConfigurationError(
                f"{self.config} does not exist {where} of {self.repository.name}",
                hint="`rollout init` writes one; the input `config` names another path",
            )
        return answer.text


def job_of(env: Mapping[str, str], config: Path, around: Surroundings) -> Job:
    """The job that these variables describe. Raises ConfigurationError for what is missing, all of it at once."""
    token = env.get("ROLLOUT_TOKEN") or env.get("GITHUB_TOKEN") or ""
    missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_EVENT_PATH") if not env.get(name)]
    if not token:
        missing.append("ROLLOUT_TOKEN (the input `token`)")
    if missing:
        raise ConfigurationError(
            f"this job has no {', no '.join(missing)}", hint="call it through the action, or set the variables"
        )
    if config.is_absolute() or ".." in config.parts:
        raise ConfigurationError(
            f"{config} is not a path within the repository", hint="write it like deploy/rollout.yml"
        )
    run, attempt = env.get("GITHUB_RUN_ID", "0"), env.get("GITHUB_RUN_ATTEMPT", "1")
    return Job(
        env=env,
        config=config,
        repository=_repository(env, around),
        event=_event(Path(env["GITHUB_EVENT_PATH"])),
        began=around.clock(),
        around=around,
        owner=f"run {run}/{attempt}/{secrets.token_hex(4)}",
    )


def _repository(env: Mapping[str, str], around: Surroundings) -> Repository:
    return Repository(
        env["GITHUB_REPOSITORY"],
        token=SecretStr(env.get("ROLLOUT_TOKEN") or env.get("GITHUB_TOKEN") or ""),
        url=env.get("GITHUB_API_URL", "https://api.github.com"),
        clock=around.clock,
        sleep=around.sleep,
    )


def _event(path: Path) -> Mapping[str, Any]:
    try:
        event = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as wrong:
        raise ConfigurationError(f"the event of this job cannot be read: {type(wrong).__name__}") from None
    return event if isinstance(event, dict) else {}
