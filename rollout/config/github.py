"""The keys below `github`: who may steer a rollout from a pull request, and how its jobs get from tick to tick."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StrictBool, StrictStr, WithJsonSchema

from rollout.config.values import Section, wrong
from rollout.core.pacing import Pacing

LOGIN: Final = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$"
BOT: Final = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(\[bot\])?$"
PREFIX: Final = r"^refs/[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"


def _login(text: str) -> str:
    if not re.fullmatch(LOGIN, text):
        raise wrong("this is not a login of GitHub", "write it without @, like octocat; teams cannot be named here")
    return text


def _bot(text: str) -> str:
    if not re.fullmatch(BOT, text):
        raise wrong("this is not the login of a bot", "write it like release-bot[bot]")
    return text


def _prefix(text: str) -> str:
    if not re.fullmatch(PREFIX, text) or ".." in text or text.endswith(".lock") or text == "refs/heads":
        raise wrong("this is not a prefix of refs", "write it like refs/rollouts or refs/heads/rollouts")
    return text


Login = Annotated[StrictStr, AfterValidator(_login), WithJsonSchema({"type": "string", "pattern": LOGIN})]
Bot = Annotated[StrictStr, AfterValidator(_bot), WithJsonSchema({"type": "string", "pattern": BOT})]
Prefix = Annotated[StrictStr, AfterValidator(_prefix), WithJsonSchema({"type": "string", "pattern": PREFIX})]


class GitHubSection(Section):
    """How a rollout runs in GitHub Actions, and who steers it from the pull request."""

    pacing: Pacing = Field(
        default=Pacing.HOLD,
        description="What a job does between two looks: sleep in it and hand over before its time is up, or leave and "
        "be woken.",
    )
    approvers: tuple[Login, ...] = Field(
        default=(),
        description="Who may approve, promote and resume, by login. Left out, everybody with write access. Pausing and "
        "aborting is always open to everybody with write access.",
    )
    author_approves: StrictBool = Field(
        default=True, description="Whether the author of the release's pull request may approve and promote it."
    )
    bots: tuple[Bot, ...] = Field(default=(), description="Bots whose comments are orders, by login.")
    journal: Prefix = Field(
        default="refs/rollouts",
        description="Below which ref the journal lies: `<journal>/<service>/<environment>`. Where a rule of the "
        "repository forbids it, `refs/heads/rollouts` makes it a branch.",
    )
