"""Why this run was started: the event of a workflow, read into a value. Pure; it looks nothing up.

What the event says of a person is who GitHub says acted. What that person may do is asked of GitHub, never read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from rollout.core.release import TAG
from rollout.errors import ConfigurationError

_TAGS: Final = "refs/tags/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Somebody released."""

    tag: str
    commit: str
    """The commit that the event names; empty where it names none, as when a person types a tag."""
    by: str
    """The login of whoever pushed, published or asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """It is time to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentGiven:
    """Somebody wrote a comment on a pull request, just now."""

    pull: int
    comment_id: int
    body: str
    login: str
    created_at: datetime
    bot: bool
    """An app wrote it, not a person."""
    author_of_pull: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """An event that asks for nothing, and why it does not."""

    because: str


Trigger = Start | Tick | CommentGiven | Nothing


class _Part(BaseModel):
    """What is read of an event, by https://docs.github.com/webhooks/webhook-events-and-payloads. GitHub sends more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _User(_Part):
    login: str
    type: str = "User"


class _Commit(_Part):
    id: str


class _Push(_Part):
    deleted: bool = False
    head_commit: _Commit | None = None
    """The commit, also where the tag is annotated: `after` is the tag's own object then."""
    sender: _User | None = None


class _ReleaseOf(_Part):
    tag_name: str


class _Published(_Part):
    action: str
    release: _ReleaseOf
    sender: _User | None = None


class _Inputs(_Part):
    tag: str | None = None


class _Dispatch(_Part):
    inputs: _Inputs | None = None
    sender: _User | None = None


class _Issue(_Part):
    number: int
    user: _User | None = None
    pull_request: dict[str, object] | None = None


class _Comment(_Part):
    id: int
    body: str | None = None
    created_at: AwareDatetime
    user: _User | None = None


class _Commented(_Part):
    action: str
    issue: _Issue
    comment: _Comment


def trigger_of(env: Mapping[str, str], event: Mapping[str, object]) -> Trigger:
    """What the event of this run asks for: `env` is the run's environment, `event` the JSON of GITHUB_EVENT_PATH.

    Raises ConfigurationError where the event is not as GitHub writes it, or a tag cannot be the tag of an image.
    """
    name = env.get("GITHUB_EVENT_NAME", "")
    try:
        match name:
            case "push":
                return _pushed(_Push.model_validate(event), env)
            case "release":
                return _published(_Published.model_validate(event), env)
            case "workflow_dispatch":
                return _dispatched(_Dispatch.model_validate(event), env)
            case "schedule":
                return Tick()
            case "issue_comment":
                return _commented(_Commented.model_validate(event))
            case "":
                return Nothing(because="GITHUB_EVENT_NAME is not set: no workflow runs this")
            case _:
                return Nothing(because=f"an event {name} neither starts a rollout nor steers one")
    except ValidationError as wrong:
        where = ", ".join(".".join(str(part) for part in error["loc"]) or "the whole" for error in wrong.errors())
        raise ConfigurationError(
            f"the event {name} is not as GitHub writes it: {where}",
            hint="GITHUB_EVENT_PATH must name the file that the runner wrote for this run",
        ) from None


def _pushed(push: _Push, env: Mapping[str, str]) -> Trigger:
    ref = env.get("GITHUB_REF", "")
    if not ref.startswith(_TAGS):
        return Nothing(because=f"{ref or 'what was pushed'} is no tag")
    if push.deleted:
        return Nothing(because=f"the tag {ref.removeprefix(_TAGS)} was deleted")
    commit = push.head_commit.id if push.head_commit else ""
    return Start(tag=_tag(ref.removeprefix(_TAGS)), commit=commit, by=_by(push.sender, env))


def _published(published: _Published, env: Mapping[str, str]) -> Trigger:
    if published.action != "published":
        return Nothing(because=f"a release was {published.action}; a rollout starts when one is published")
    return Start(tag=_tag(published.release.tag_name), commit="", by=_by(published.sender, env))


def _dispatched(dispatch: _Dispatch, env: Mapping[str, str]) -> Trigger:
    tag = ((dispatch.inputs and dispatch.inputs.tag) or "").strip().removeprefix(_TAGS)
    return Start(tag=_tag(tag), commit="", by=_by(dispatch.sender, env)) if tag else Tick()


def _commented(commented: _Commented) -> Trigger:
    issue, comment = commented.issue, commented.comment
    if commented.action != "created":
        return Nothing(because=f"a comment was {commented.action}; only a new one can be an order")
    if issue.pull_request is None:
        return Nothing(because=f"#{issue.number} is an issue, and orders are given on pull requests")
    if comment.user is None:
        return Nothing(because="nobody is known to have written the comment")
    return CommentGiven(
        pull=issue.number,
        comment_id=comment.id,
        body=comment.body or "",
        login=comment.user.login,
        created_at=comment.created_at.astimezone(UTC),
        bot=comment.user.type != "User",
        author_of_pull=issue.user.login if issue.user else "",
    )


def _tag(tag: str) -> str:
    if not TAG.fullmatch(tag):
        raise ConfigurationError(
            f"the tag {tag!r} cannot be the tag of an image: letters, digits, '_', '.' and '-', at most 128",
            hint="let `on.push.tags` of the workflow name the tags of releases only",
        )
    return tag


def _by(sender: _User | None, env: Mapping[str, str]) -> str:
    return sender.login if sender else env.get("GITHUB_ACTOR", "")
