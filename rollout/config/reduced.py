"""A document without what only a release needs, for those who only ask what its policy would have decided.

The parts that are left out are replaced by ones that are always right, so that the same checks apply to the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout.config.document import Document

_ELSEWHERE: Final[dict[str, object]] = {
    "image": "example.com/image",
    "target": {
        "nginx": {"include": "/etc/nginx/conf.d/rollout.conf", "listen": "127.0.0.1:80", "container": {"port": 80}}
    },
}
_PROMETHEUS: Final[dict[str, object]] = {"prometheus": {"url": "http://127.0.0.1:9090"}}
_ACCESS_LOG: Final[dict[str, object]] = {"access_log": {}}
_DROPPED: Final = ("checks", "notify")


def policy_alone(document: Document) -> Document:
    """The document with nothing of the world outside; of the metrics only their kind, as the built-in gates follow it.

    Mistakes of YAML anywhere in it remain mistakes.
    """
    content = document.content
    if not isinstance(content, dict):
        return document
    metrics = content.get("metrics")
    of_log = isinstance(metrics, dict) and list(metrics) == ["access_log"]
    kept = {key: value for key, value in content.items() if key not in _DROPPED}
    return replace(document, content={**kept, **_ELSEWHERE, "metrics": _ACCESS_LOG if of_log else _PROMETHEUS})
