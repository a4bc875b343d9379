"""What the target writes on objects to find its work again: which release runs where, and the way back.

Annotations are read strictly: one that cannot be understood blocks, and is never overwritten.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from rollout.core.release import Release
from rollout.errors import TargetFailed
from rollout.targets.kubernetes.client import Json

_PREFIX: Final = "rollout-orchestrator"
RELEASE: Final = f"{_PREFIX}/release"
"""On a Deployment: the release that we had it run, and the rollout that did."""
RESERVE: Final = f"{_PREFIX}/reserve"
"""On the stable Deployment: the former stable release and its pod template."""
LOG: Final = f"{_PREFIX}/log"
"""On the stable Deployment: the last lines of the last canary."""
WAY_BACK: Final = f"{_PREFIX}/way-back"
"""On a canary that carries users while the stable Deployment goes back to its reserve."""
ORDERED: Final = f"{_PREFIX}/weight"
"""On the first component's canary: the weight that all components are meant to have."""
ID: Final = f"{_PREFIX}/id"
"""The label by which the pods of one rollout's canary are told from those of the one before."""
OF: Final = f"{_PREFIX}/deployment"
"""The label of what is made here: the stable Deployment that it was made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A release, and the rollout that put it there; empty where somebody else did."""

    release: Release
    rollout: str

    def as_json(self) -> Json:
        """For an annotation."""
        release = self.release
        return {
            "tag": release.tag,
            "image": release.image,
            "digest": release.digest,
            "commit": release.commit,
            "rollout": self.rollout,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """The former stable release with the pod template it ran."""

    placed: Placed
    """Its rollout is empty where it was there before the first one."""
    template: Json

    @property
    def release(self) -> Release:
        """What ran."""
        return self.placed.release


def annotations_of(item: Json) -> dict[str, str]:
    """The annotations of an object."""
    found = item.get("metadata", {}).get("annotations") or {}
    return {str(key): str(value) for key, value in found.items()}


def placed(item: Json) -> Placed | None:
    """The release that we had a Deployment run; None where nobody of us did. Raises TargetFailed."""
    text = annotations_of(item).get(RELEASE)
    return _placed(_read(text, item, RELEASE), item) if text is not None else None


def reserve(item: Json) -> Reserve | None:
    """The way back that is written on a stable Deployment. Raises TargetFailed."""
    text = annotations_of(item).get(RESERVE)
    if text is None:
        return None
    said = _read(text, item, RESERVE)
    template, release = said.get("template"), said.get("release")
    if not isinstance(template, dict) or not isinstance(release, dict):
        raise _unreadable(item, RESERVE)
    return Reserve(placed=_placed(release, item), template=template)


def written(value: Placed | Reserve) -> str:
    """The text of an annotation."""
    match value:
        case Placed():
            return json.dumps(value.as_json(), sort_keys=True)
        case Reserve():
            return json.dumps({"release": value.placed.as_json(), "template": value.template}, sort_keys=True)


def _placed(said: dict[str, Any], item: Json) -> Placed:
    try:
        release = Release(
            tag=str(said["tag"]), image=str(said["image"]), digest=str(said["digest"]), commit=str(said["commit"])
        )
        return Placed(release=release, rollout=str(said["rollout"]))
    except (KeyError, ValueError):
        raise _unreadable(item, RELEASE) from None


def _read(text: str, item: Json, key: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise _unreadable(item, key)
    return said


def _unreadable(item: Json, key: str) -> TargetFailed:
    name = item.get("metadata", {}).get("name", "?")
    return TargetFailed(
        f"the annotation {key} of Deployment {name} cannot be understood",
        hint=f"Look who wrote it. Once you know what runs, remove it: `kubectl annotate deployment NAME {key}-`.",
    )
