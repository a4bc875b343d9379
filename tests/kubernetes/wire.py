"""Plain HTTP to the cluster of the tests, so that they see what any client sees, and no library's view of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import requests

from tests.kubernetes.kinds import Json, Node

_TYPES: Final[Mapping[str, str]] = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


@dataclass
class Wire:
    """Plain HTTP to the API: what is sent is what a test says, and the answer is not interpreted."""

    url: str
    session: requests.Session

    def send(self, method: str, path: str, body: Node = None, *, how: str = "", **query: str) -> requests.Response:
        """One request; `how` is the way of patching."""
        content = _TYPES.get(how, "application/json")
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content}
        return self.session.request(method, self.url + path, data=data, params=query, headers=headers, timeout=10)

    def get(self, path: str, **query: str) -> Json:
        """An object or a list that is there."""
        answer = self.send("GET", path, **query)
        answer.raise_for_status()
        found: Json = answer.json()
        return found
