"""What the API server says when it refuses: each with the code, the reason and the very words of the real one.

It decides nothing: who refuses, raises.
"""

from __future__ import annotations

from tests.kubernetes.kinds import Json, Kind, Node


class Refusal(Exception):
    """A request that is answered by a Status of failure."""

    def __init__(self, code: int, reason: str, message: str, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Json:
        """The body of the answer."""
        body: dict[str, Node] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details is not None:
            body["details"] = self.details
        return body


def _about(kind: Kind, name: str) -> Json:
    return {"name": name, "group": kind.group, "kind": kind.plural}


def not_found(kind: Kind, name: str) -> Refusal:
    """There is no such object."""
    return Refusal(404, "NotFound", f'{kind.resource} "{name}" not found', _about(kind, name))


def no_such_path() -> Refusal:
    """There is no such resource."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def exists(kind: Kind, name: str) -> Refusal:
    """There is one already."""
    return Refusal(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', _about(kind, name))


def stale(kind: Kind, name: str) -> Refusal:
    """Somebody else wrote in between."""
    words = "the object has been modified; please apply your changes to the latest version and try again"
    return Refusal(
        409, "Conflict", f'Operation cannot be fulfilled on {kind.resource} "{name}": {words}', _about(kind, name)
    )


def invalid(kind: Kind, name: str, causes: list[tuple[str, str]]) -> Refusal:
    """The object breaks its schema: pairs of field and sentence."""
    told = [f"{field}: {said}" for field, said in causes]
    joined = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    words = f'{kind.kind}{"." + kind.group if kind.group else ""} "{name}" is invalid: {joined}'
    details = _about(kind, name) | {
        "kind": kind.kind,
        "causes": [{"reason": "FieldValueInvalid", "field": field, "message": said} for field, said in causes],
    }
    return Refusal(422, "Invalid", words, details)


def bad_request(message: str) -> Refusal:
    """The request itself cannot be read."""
    return Refusal(400, "BadRequest", message)


def unauthorized() -> Refusal:
    """Nobody knows the caller."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def forbidden(kind: Kind, *, subresource: str, verb: str, namespace: str, name: str, user: str) -> Refusal:
    """The caller may not."""
    whole = f"{kind.plural}/{subresource}" if subresource else kind.plural
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    named = f' "{name}"' if name else ""
    words = (
        f"{kind.resource}{named} is forbidden: "
        f'User "{user}" cannot {verb} resource "{whole}" in API group "{kind.group}" {where}'
    )
    return Refusal(403, "Forbidden", words, _about(kind, name))


def unsupported_media_type(*accepted: str) -> Refusal:
    """This way of patching does not exist for this resource."""
    words = "the body of the request was in an unknown format - accepted media types include: "
    return Refusal(415, "UnsupportedMediaType", words + ", ".join(accepted))


def expired(asked: int, oldest: int) -> Refusal:
    """The history back to there is gone."""
    return Refusal(410, "Expired", f"too old resource version: {asked} ({oldest})")


def owned_by_others(conflicts: dict[tuple[str, str], list[str]]) -> Refusal:
    """Server-side apply met fields of other managers: (manager, API version) to fields."""
    total = sum(len(fields) for fields in conflicts.values())
    told: list[str] = []
    causes: list[Json] = []
    for (manager, version), fields in conflicts.items():
        who = f'conflict with "{manager}" using {version}'
        causes += [{"reason": "FieldManagerConflict", "message": who, "field": field} for field in fields]
        if len(fields) == 1:
            told.append(f"{who}: {fields[0]}")
        else:
            told.append(who.replace("conflict", "conflicts", 1) + ":\n" + "\n".join(f"- {one}" for one in fields))
    plural = "s" if total > 1 else ""
    return Refusal(
        409, "Conflict", f"Apply failed with {total} conflict{plural}: " + "\n".join(told), {"causes": causes}
    )
