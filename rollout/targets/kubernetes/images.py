"""Images in a pod template: which containers run the service, and what their references say."""

from __future__ import annotations

import re
from typing import Final

from rollout.core.release import DIGEST, TAG, Release
from rollout.errors import TargetFailed
from rollout.targets.kubernetes.client import Json

_LISTS: Final = ("containers", "initContainers")
_DIGEST_AT_END: Final = re.compile(rf"@({DIGEST.pattern})$")


def repository(reference: str) -> str:
    """The repository of a reference, without tag and digest."""
    bare = reference.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def tag(reference: str) -> str:
    """The tag of a reference; empty where it has none."""
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[2]


def digest(reference: str) -> str:
    """The digest of a reference or of a pod's imageID; empty where it has none."""
    found = _DIGEST_AT_END.search(reference)
    return found[1] if found else ""


def ours(template: Json, *, image: str, container: str | None) -> dict[str, tuple[str, ...]]:
    """The names of the containers, by list of the template, that run the image. Raises TargetFailed.

    Those of its repository, init containers too, or the one that is named; else the only container there is.
    """
    spec = template.get("spec", {})
    named = {key: tuple(str(each["name"]) for each in spec.get(key) or ()) for key in _LISTS}
    found: dict[str, tuple[str, ...]] = {}
    for key in _LISTS:
        names = tuple(str(each["name"]) for each in spec.get(key) or () if _is_ours(each, image, container))
        if names:
            found[key] = names
    if not found and container is None and len(named["containers"]) == 1:
        found = {"containers": named["containers"]}
    if "containers" not in found:
        there = ", ".join(named["containers"])
        what = f"no container is named {container}" if container else f"no container runs {image}"
        raise TargetFailed(f"{what}; there are {there}", hint="Name the right one as `container`.")
    return found


def _is_ours(each: Json, image: str, container: str | None) -> bool:
    return repository(str(each["image"])) == image if container is None else each["name"] == container


def with_image(template: Json, names: dict[str, tuple[str, ...]], reference: str) -> Json:
    """The template with that image in those containers."""
    spec = dict(template["spec"])
    for key, wanted in names.items():
        spec[key] = [{**each, "image": reference} if each["name"] in wanted else each for each in spec[key]]
    return {**template, "spec": spec}


def image_of(template: Json, names: dict[str, tuple[str, ...]]) -> str:
    """The reference that the first of those containers runs."""
    first = names["containers"][0]
    return next(str(each["image"]) for each in template["spec"]["containers"] if each["name"] == first)


def adopted(reference: str, found_digest: str) -> Release:
    """The release that somebody else deployed, by what it runs; named by its digest where it has no tag."""
    name = tag(reference)
    return Release(
        tag=name if TAG.fullmatch(name) else found_digest[7:19], image=repository(reference), digest=found_digest
    )
