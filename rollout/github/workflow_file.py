"""A workflow as its file says it, as far as a rollout depends on it. It reads YAML and judges nothing.

The keys are those of docs.github.com, "Workflow syntax for GitHub Actions". Expressions stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import yaml

ACTION: Final = re.compile(r"(?P<repository>[A-Za-z0-9-]+/rollout)@(?P<ref>\S+)")
"""This action, whoever keeps it."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_LOOKS_AT_A_COMMENT: Final = re.compile(r"github\.event\.(?:comment|issue)\b|event_name *== *'issue_comment'")
_KEEPS_COMMENTS_AWAY: Final = re.compile(r"event_name *(?:!= *'issue_comment'|== *'(?!issue_comment'))")


class NotAWorkflow(ValueError):
    """The text cannot be read as a workflow; the message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step that uses an action."""

    uses: str
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_rollout(self) -> bool:
        """Whether it uses this action."""
        return ACTION.fullmatch(self.uses) is not None or self.uses == "./"

    @property
    def ref(self) -> str:
        """What stands behind the @; empty for a path of the same repository."""
        return self.uses.partition("@")[2]

    @property
    def is_pinned(self) -> bool:
        """Whether it names a commit, which nobody can move."""
        return self.uses.startswith(("./", "docker://")) or _COMMIT.fullmatch(self.ref) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """A group of which one job runs at a time."""

    group: str
    cancels: bool
    """Whether a newer one ends the one that runs."""
    queues_all: bool
    """Whether a newer one leaves those that wait in their places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, with what it inherits from the workflow."""

    name: str
    condition: str
    runs_on: tuple[str, ...]
    permissions: Mapping[str, str] | None
    """None where neither the job nor the workflow says; `{"*": "write"}` for write-all."""
    concurrency: Concurrency | None
    own_deployment: bool
    """Whether GitHub makes a deployment for the job by itself: it names an environment and does not say otherwise."""
    timeout: float | None
    """Minutes."""
    steps: tuple[Step, ...]

    @property
    def is_for_comments(self) -> bool:
        """Whether its condition looks at a comment, so that it is the job for orders."""
        return _LOOKS_AT_A_COMMENT.search(self.condition) is not None

    @property
    def spares_comments(self) -> bool:
        """Whether its condition keeps comments away, as far as text can tell."""
        return _KEEPS_COMMENTS_AWAY.search(self.condition) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One file below .github/workflows."""

    events: Mapping[str, Mapping[str, object]]
    """What starts it, each with its filters."""
    concurrency: Concurrency | None
    jobs: tuple[Job, ...]

    @property
    def rollout_jobs(self) -> tuple[Job, ...]:
        """Those that use this action."""
        return tuple(job for job in self.jobs if any(step.is_rollout for step in job.steps))


def read_workflow(text: str) -> Workflow:
    """The workflow that the text is. Raises NotAWorkflow."""
    try:
        # The base loader: a key `on` stays text, where YAML 1.1 would read a boolean.
        content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but text, lists and mappings
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        raise NotAWorkflow(f"it is not YAML{f' (line {mark.line + 1})' if mark is not None else ''}") from None
    top = _mapping(content)
    if "on" not in top or "jobs" not in top:
        raise NotAWorkflow("it has no `on` or no `jobs`")
    jobs = _mapping(top["jobs"])
    return Workflow(
        events=_events(top["on"]),
        concurrency=_concurrency(top.get("concurrency")),
        jobs=tuple(_job(name, _mapping(job), top.get("permissions")) for name, job in jobs.items()),
    )


def _job(name: str, job: Mapping[str, object], inherited: object) -> Job:
    environment = job.get("environment")
    deployment = _mapping(environment).get("deployment", "true")
    timeout = str(job.get("timeout-minutes", ""))
    return Job(
        name=name,
        condition=" ".join(str(job.get("if", "")).split()),
        runs_on=_words(job.get("runs-on")),
        permissions=_permissions(job.get("permissions", inherited)),
        concurrency=_concurrency(job.get("concurrency")),
        own_deployment=bool(environment) and deployment != "false",
        timeout=float(timeout) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", timeout) else None,
        steps=tuple(_steps(job.get("steps"))),
    )


def _steps(steps: object) -> Sequence[Step]:
    found = [_mapping(step) for step in steps] if isinstance(steps, list) else []
    return [
        Step(uses=str(step["uses"]), inputs={key: str(value) for key, value in _mapping(step.get("with")).items()})
        for step in found
        if "uses" in step
    ]


def _events(on: object) -> dict[str, Mapping[str, object]]:
    if isinstance(on, dict):
        return {str(name): _mapping(filters) for name, filters in on.items()}
    return {name: {} for name in _words(on)}


def _permissions(value: object) -> Mapping[str, str] | None:
    match value:
        case None:
            return None
        case "write-all":
            return {"*": "write"}
        case "read-all":
            return {"*": "read"}
        case dict():
            return {str(name): str(level) for name, level in value.items()}
        case _:
            return {}


def _concurrency(value: object) -> Concurrency | None:
    match value:
        case None | "":
            return None
        case dict():
            return Concurrency(
                group=str(value.get("group", "")),
                cancels=str(value.get("cancel-in-progress", "false")) != "false",
                queues_all=value.get("queue") == "max",
            )
        case _:
            return Concurrency(group=str(value), cancels=False, queues_all=False)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _words(value: object) -> tuple[str, ...]:
    match value:
        case str():
            return (value,) if value else ()
        case list():
            return tuple(str(one) for one in value)
        case dict():
            return _words(value.get("labels")) or _words(value.get("group"))
        case _:
            return ()
