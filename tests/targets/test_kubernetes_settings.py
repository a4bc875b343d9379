"""What stands under `target: kubernetes:` is refused early where it could not work."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from rollout.targets.kubernetes.settings import KubernetesSettings

FIT = {"deployment": "chat", "service": "chat", "route": "chat"}


def test_one_deployment_is_one_component() -> None:
    """The short form and the long form mean the same."""
    assert (
        KubernetesSettings.model_validate(FIT).parts == KubernetesSettings.model_validate({"components": [FIT]}).parts
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "name the Deployment"),
        ({"deployment": "chat"}, "name the HTTPRoute"),
        ({"deployment": "chat", "route": "chat"}, "name the Service"),
        ({**FIT, "ingress": "chat"}, "a route or an ingress, not both"),
        ({**FIT, "components": [FIT]}, "inside the components"),
        ({"components": [FIT, FIT]}, "each Deployment is named once"),
        ({**FIT, "promote": "commit"}, "commit: goes with"),
        ({**FIT, "in_cluster": True, "context": "eu"}, "leave out kubeconfig and context"),
        ({**FIT, "namespace": "../kube-system"}, "is not the name of an object"),
        ({**FIT, "deployment": "a" * 57}, "-canary is added"),
        ({**FIT, "testers": {"value": "a\nb"}}, "the value is letters"),
        ({**FIT, "promote": "commit", "commit": {"file": "../x"}}, "not a path inside the repository"),
        ({**FIT, "promote": "commit", "commit": {"file": "x", "branch": "--force"}}, "not the name of a branch"),
    ],
)
def test_what_cannot_work_is_said(wrong: dict[str, object], words: str) -> None:
    """In a sentence that names the key."""
    with pytest.raises(ValidationError, match=words):
        KubernetesSettings.model_validate(wrong)


def test_settings_are_read_without_the_client() -> None:
    """It takes half a second and is not installed everywhere."""
    program = "import sys, rollout.config; sys.exit('kubernetes.client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
