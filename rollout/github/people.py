"""What a person may do in the repository, asked of GitHub each time.

A comment's own word for it (`author_association`) is wrong for members who do not show their membership, so it is never
read: https://docs.github.com/rest/collaborators/collaborators#get-repository-permissions-for-a-user.
"""

from __future__ import annotations

from enum import StrEnum

from rollout.errors import GitHubUnavailable
from rollout.github.api import Repository, quoted


class Permission(StrEnum):
    """What somebody may do, from least to most. GitHub counts `triage` as read and `maintain` as write."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def reaches(self, needed: Permission) -> bool:
        """Whether this is as much as is needed, or more."""
        ranks = list(Permission)
        return ranks.index(self) >= ranks.index(needed)


def permission(repository: Repository, login: str) -> Permission:
    """What the person with this login may do now; NONE for one that GitHub does not know here.

    Raises GitHubUnavailable where GitHub says nothing that can be understood: nobody may order on a guess.
    """
    if not login:
        return Permission.NONE
    answer = repository.get(f"collaborators/{quoted(login)}/permission", but=frozenset({404}))
    if answer.status == 404:
        return Permission.NONE
    said = answer.body.get("permission") if isinstance(answer.body, dict) else None
    if said not in list(Permission):
        raise GitHubUnavailable(f"GitHub says {said!r} for what {login} may do, which is no permission")
    return Permission(said)
