"""Who calls and what they may: tokens, roles by subtraction, and the review that tells a caller what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.kubernetes.kinds import KINDS, Json, Kind
from tests.kubernetes.refusals import forbidden, unauthorized


@dataclass
class Access:
    """Tokens and what was taken away. Everybody known may do everything that is not forbidden."""

    users: dict[str, str]
    """Token to user name."""
    taken: set[tuple[str, str]] = field(default_factory=set)
    """Verb and resource (`rollouts/status`); `*` for any."""

    def user(self, headers: Mapping[str, str]) -> str:
        """The caller's name. Raises Refusal 401."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.users:
            raise unauthorized()
        return self.users[token]

    def may(self, verb: str, resource: str) -> bool:
        """Whether the verb is allowed on `plural` or `plural/subresource`."""
        return not {(verb, resource), ("*", resource), (verb, "*"), ("*", "*")} & self.taken

    def demand(self, kind: Kind, *, subresource: str, verb: str, namespace: str, name: str, user: str) -> None:
        """Raises Refusal 403 in the words of a real API server."""
        if not self.may(verb, f"{kind.plural}/{subresource}" if subresource else kind.plural):
            raise forbidden(kind, subresource=subresource, verb=verb, namespace=namespace, name=name, user=user)

    def review(self, asked: Json) -> Json:
        """The answer to a SelfSubjectAccessReview."""
        attributes = asked["spec"].get("resourceAttributes") or {}
        plural = str(attributes.get("resource", ""))
        whole = f"{plural}/{attributes['subresource']}" if attributes.get("subresource") else plural
        known = any(kind.plural == plural and kind.group == attributes.get("group", "") for kind in KINDS)
        allowed = known and self.may(str(attributes.get("verb", "")), whole)
        return asked | {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "status": {"allowed": allowed, **({} if allowed else {"reason": "no rule allows it"})},
        }
