"""A reaction under a comment: the answer that a person sees within a second, before there are words."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from rollout.github.api import Repository

_GONE: Final = frozenset({404, 410})


class Reaction(StrEnum):
    """What is shown under an order, by GitHub's names for it."""

    READ = "eyes"
    DONE = "rocket"
    REFUSED = "-1"
    NOT_UNDERSTOOD = "confused"


def react(repository: Repository, comment: int, reaction: Reaction) -> bool:
    """Show the reaction under the comment with this id, once however often it is said. False: the comment is gone."""
    answer = repository.send(
        "POST", f"issues/comments/{comment}/reactions", {"content": str(reaction)}, but=_GONE, again=True
    )
    return answer.status not in _GONE
