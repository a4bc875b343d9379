"""Pod templates: which release one runs, and the same template with another release. Pure; no object is fetched.

A template that we write has the image by digest, and the tag in an annotation for people. The annotation with the
rollout's id makes each canary's template another one, so that even the same image is a version of its own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Final

from rollout.core.release import TAG as TAG_FORM
from rollout.core.release import Release
from rollout.targets.kubernetes import images
from rollout.targets.kubernetes.client import Json

HASH_LABEL: Final = "rollouts-pod-template-hash"
"""The label by which the controller tells versions apart."""
ROLLOUT: Final = "rollout-orchestrator/rollout"
TAG: Final = "rollout-orchestrator/tag"
COMMIT: Final = "rollout-orchestrator/commit"
"""The annotations on a pod template: which rollout put it there, and the names of its release."""

_OURS: Final = (ROLLOUT, TAG, COMMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """Which containers of a template run the service: those of its image, or the one that is named."""

    image: str
    name: str | None

    def names(self, template: Json) -> dict[str, tuple[str, ...]]:
        """Their names, by list of the template. Raises TargetFailed."""
        return images.ours(template, image=self.image, container=self.name)

    def main(self, template: Json) -> str:
        """The name of the first of them, whose log is read. Raises TargetFailed."""
        return self.names(template)["containers"][0]

    def reference(self, template: Json) -> str:
        """The image that they run, as the template names it. Raises TargetFailed."""
        return images.image_of(template, self.names(template))

    def release(self, template: Json, *, running: str = "") -> Release | None:
        """The release that a template runs; `running` is the digest its pods report, for an image without one.

        None where the digest is not to be had. Raises TargetFailed.
        """
        reference = self.reference(template)
        digest = images.digest(reference) or running
        if not digest:
            return None
        found = images.adopted(reference, digest)
        noted = _annotations(template)
        tag = noted.get(TAG, "")
        return Release(
            tag=tag if TAG_FORM.fullmatch(tag) else found.tag,
            image=found.image,
            digest=found.digest,
            commit=noted.get(COMMIT, ""),
        )

    def with_release(self, template: Json, release: Release, *, rollout: str) -> Json:
        """The template with the release's image by digest, and notes on whose it is; nothing else changes."""
        changed = images.with_image(copy.deepcopy(template), self.names(template), release.reference)
        metadata = dict(changed.get("metadata") or {})
        notes = {**_annotations(changed), ROLLOUT: rollout, TAG: release.tag, COMMIT: release.commit}
        metadata["annotations"] = {key: value for key, value in notes.items() if value or key not in _OURS}
        return {**changed, "metadata": metadata}


def rollout_of(template: Json) -> str:
    """The id of the rollout that put the template there; empty where it was somebody else."""
    return _annotations(template).get(ROLLOUT, "")


def of_replica_set(replica_set: Json) -> Json:
    """The template that a ReplicaSet was made from: without the hash that the controller adds."""
    template: Json = copy.deepcopy(replica_set["spec"]["template"])
    labels = (template.get("metadata") or {}).get("labels") or {}
    labels.pop(HASH_LABEL, None)
    return template


def _annotations(template: Json) -> dict[str, str]:
    found = (template.get("metadata") or {}).get("annotations") or {}
    return {str(key): str(value) for key, value in found.items()}
