"""A promotion by a commit: one line changes on the branch that the cluster follows, and the work tree stays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.core.plan import NOTHING, Weight
from rollout.core.release import Release
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.kubernetes.commits import commit_digest, with_digest
from rollout.targets.kubernetes.settings import CommitSettings
from tests.kubernetes.server import ClusterServer
from tests.targets.kubernetes_world import NAMESPACE, World
from tests.targets.test_kubernetes_target import asked, running

IMAGE = "registry.example/chat"
RELEASE = Release(tag="v2", image=IMAGE, digest=f"sha256:{'2' * 64}")
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}

DEPLOYMENT = f"""\
# The chat.
spec:
  template:
    spec:
      containers:
        - image: "{IMAGE}:v1"  # set by rollout
          name: chat
        - name: proxy
          image: {IMAGE}-proxy:v1
"""

KUSTOMIZATION = f"""\
images:
  - name: other
    newTag: v7
  - name: {IMAGE}
    newTag: v1
resources: [chat.yaml]
"""


def test_only_the_images_own_value_changes() -> None:
    """Comments, quotes, order and other images stay; a second time changes nothing."""
    after = with_digest(DEPLOYMENT, image=IMAGE, release=RELEASE)
    assert after == DEPLOYMENT.replace(f'"{IMAGE}:v1"', f'"{RELEASE.reference}"')
    assert with_digest(after, image=IMAGE, release=RELEASE) == after


def test_a_kustomization_gets_the_digest_in_the_place_of_the_tag() -> None:
    """Of this image's entry, and of no other."""
    after = with_digest(KUSTOMIZATION, image=IMAGE, release=RELEASE)
    assert after == KUSTOMIZATION.replace("newTag: v1", f"digest: {RELEASE.digest}")
    assert with_digest(after, image=IMAGE, release=RELEASE) == after
    bare = KUSTOMIZATION.replace("    newTag: v1\n", "")
    assert with_digest(bare, image=IMAGE, release=RELEASE) == after


def test_a_file_without_the_image_is_none() -> None:
    """Nothing is guessed."""
    assert with_digest("image: other:v1\n", image=IMAGE, release=RELEASE) is None


def git(where: Path, *words: str) -> str:
    """What git says."""
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(["git", "-C", where, *words], capture_output=True, text=True, check=True, env=ENV | identity)
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of a repository with a manifest in a directory."""
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "remote.git")
    git(tmp_path, "clone", "-q", "remote.git", "clone")
    work = tmp_path / "clone"
    git(work, "checkout", "-q", "-B", "main")
    (work / "deploy").mkdir()
    (work / "deploy" / "chat.yaml").write_text(DEPLOYMENT)
    (work / "README").write_text("hello\n")
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "first")
    git(work, "push", "-q", "origin", "main")
    return work


def settings(clone: Path, **more: str) -> CommitSettings:
    """Where to commit to."""
    return CommitSettings.model_validate({"file": "deploy/chat.yaml", "repository": clone, "timeout": "5s", **more})


def test_one_commit_changes_one_file_and_the_work_tree_is_left_alone(clone: Path) -> None:
    """Whoever works in the clone notices nothing; a second call makes no second commit."""
    (clone / "README").write_text("half done\n")
    before = git(clone, "status", "--porcelain"), git(clone, "rev-parse", "HEAD")
    for _ in range(2):
        commit_digest(settings(clone), image=IMAGE, release=RELEASE, env=ENV)
    assert (git(clone, "status", "--porcelain"), git(clone, "rev-parse", "HEAD")) == before
    remote = clone.parent / "remote.git"
    assert git(remote, "rev-list", "--count", "main").strip() == "2"
    assert git(remote, "diff", "--name-only", "main~1", "main").split() == ["deploy/chat.yaml"]
    assert git(remote, "show", "main:deploy/chat.yaml") == with_digest(DEPLOYMENT, image=IMAGE, release=RELEASE)
    assert git(remote, "log", "-1", "--format=%s", "main").strip() == "Release v2"


def test_somebody_elses_push_stays_below_ours(clone: Path) -> None:
    """The commit is made on what the branch is now, not on what the clone knows."""
    other = clone.parent / "other"
    git(clone.parent, "clone", "-q", "remote.git", "other")
    (other / "README").write_text("theirs\n")
    git(other, "commit", "-q", "-am", "theirs")
    git(other, "push", "-q", "origin", "HEAD:main")
    commit_digest(settings(clone), image=IMAGE, release=RELEASE, env=ENV)
    assert git(clone.parent / "remote.git", "show", "main:README") == "theirs\n"


def test_what_is_wrong_is_said(clone: Path) -> None:
    """A file without the image, a file that is not there, a remote that is away."""
    with pytest.raises(TargetFailed, match="does not name the image"):
        commit_digest(settings(clone, file="README"), image=IMAGE, release=RELEASE, env=ENV)
    with pytest.raises(TargetFailed, match="git show"):
        commit_digest(settings(clone, file="nowhere.yaml"), image=IMAGE, release=RELEASE, env=ENV)
    with pytest.raises(TargetBusy, match="git fetch"):
        commit_digest(settings(clone, remote="gone"), image=IMAGE, release=RELEASE, env=ENV)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A service that a user runs by tag already, in three pods."""
    with ClusterServer(namespaces=(NAMESPACE,)) as one:
        yield running(one, tmp_path)


def follow(world: World, clone: Path) -> None:
    """What Argo CD or Flux does: the Deployment gets the image that the branch names."""
    text = git(clone.parent / "remote.git", "show", "main:deploy/chat.yaml")
    reference = text.partition('image: "')[2].partition('"')[0]

    def change(item: dict[str, object]) -> None:
        item["spec"]["template"]["spec"]["containers"][0]["image"] = reference  # type: ignore[index]  # JSON

    world.cluster.change("deployments", "chat", change, by="argocd-controller", namespace=NAMESPACE)


def test_a_promotion_by_commit_waits_for_the_cluster_to_follow(world: World, clone: Path) -> None:
    """The canary carries everybody until then; the image is never written by us; the way back is a commit as well."""
    commit = {"file": "deploy/chat.yaml", "repository": clone, "timeout": "1s"}
    target = world.target(promote="commit", commit=commit)
    release = world.known(RELEASE)
    target.deploy(release, rollout="r2")
    target.move(Weight(50))
    with pytest.raises(TargetBusy, match="users stay where they are"):
        target.promote()
    assert asked(world) == {"v2"}
    seen = target.look()
    assert seen.stable is not None
    assert seen.stable.release.tag == "v1"
    follow(world, clone)
    target.promote()
    target.retire()
    seen = target.look()
    assert seen.stable is not None
    assert (seen.stable.release, seen.weight) == (release, NOTHING)
    with pytest.raises(TargetBusy):
        target.roll_back(rollout="r2")
    assert asked(world) == {"v1"}
    follow(world, clone)
    target.roll_back(rollout="r2")
    seen = target.look()
    assert seen.stable is not None
    assert (seen.stable.release.tag, seen.weight) == ("v1", NOTHING)
