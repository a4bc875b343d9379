"""A new digest in a file of a repository that the cluster follows, as one commit on its branch.

The commit is made of git's own objects beside the work tree, which it does not touch. Where somebody pushed in between,
it is made again on top of theirs.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from typing import Final

from rollout.core.release import DIGEST, TAG, Release
from rollout.errors import MissingProgram, TargetBusy, TargetFailed
from rollout.targets.kubernetes.settings import CommitSettings

_TRIES: Final = 5
_SECONDS: Final = 60


def commit_digest(settings: CommitSettings, *, image: str, release: Release, env: Mapping[str, str]) -> None:
    """Have the file on the remote's branch name the release by digest; nothing where it does already.

    Raises TargetFailed where the file does not name the image, TargetBusy where the remote cannot be reached.
    """
    for _ in range(_TRIES):
        _git(settings, env, "fetch", "--quiet", settings.remote, settings.branch)
        head = _git(settings, env, "rev-parse", "FETCH_HEAD").strip()
        before = _git(settings, env, "show", f"{head}:{settings.file.as_posix()}")
        after = with_digest(before, image=image, release=release)
        if after is None:
            raise TargetFailed(
                f"{settings.file} on {settings.branch} does not name the image {image}",
                hint="Name the manifest or kustomization that does as `commit.file`.",
            )
        if after == before:
            return
        commit = _commit(settings, env, head, after, f"Release {release.tag}\n\n{release.reference}\n")
        pushed = _run(settings, env, ("push", "--quiet", settings.remote, f"{commit}:refs/heads/{settings.branch}"))
        if pushed.returncode == 0:
            return
        if "non-fast-forward" not in pushed.stderr and "fetch first" not in pushed.stderr:
            raise TargetFailed(
                f"{settings.branch} of {settings.remote} cannot be pushed to (git exit code {pushed.returncode})",
                hint="Check that the token may write to the repository, and that the branch is not protected from it.",
            )
    raise TargetBusy(f"{settings.branch} of {settings.remote} moves all the time", hint="It is tried again.")


def with_digest(text: str, *, image: str, release: Release) -> str | None:
    """The manifest or kustomization with the image by digest; None where it does not name the image.

    A manifest has `image: REPOSITORY[:TAG][@DIGEST]`, a kustomization `name: REPOSITORY` (or `newName`) with `digest`
    or `newTag` beside it. Only these values are changed: comments and order stay.
    """
    quoted = re.escape(image)
    manifest = re.compile(
        rf"(?m)^(?P<key>[ \t]*(?:-[ \t]+)?image:[ \t]+[\"']?){quoted}(?::{TAG.pattern})?(?:@{DIGEST.pattern})?"
        r"(?P<end>[\"']?[ \t]*(?:#.*)?)$"
    )
    replaced, count = manifest.subn(lambda found: f"{found['key']}{release.reference}{found['end']}", text)
    if count:
        return replaced
    return _in_kustomization(text, quoted, release)


def _in_kustomization(text: str, quoted: str, release: Release) -> str | None:
    entry = re.compile(rf"(?m)^(?P<indent>[ \t]*)-[ \t]+(?:name|newName):[ \t]+[\"']?{quoted}[\"']?[ \t]*$")
    found = entry.search(text)
    if found is None:
        return None
    end = re.compile(rf"(?m)^(?![ \t]*$)(?!{found['indent']}[ \t]+)").search(text, found.end() + 1)
    stop = end.start() if end is not None else len(text)
    block = text[found.end() : stop]
    value = re.compile(r"(?m)^(?P<indent>[ \t]+)(?:digest|newTag):.*$")
    line = f"digest: {release.digest}"
    if value.search(block):
        block = value.sub(lambda one: f"{one['indent']}{line}", block, count=1)
    else:
        block = f"\n{found['indent']}  {line}{block}"
    return text[: found.end()] + block + text[stop:]


def _commit(settings: CommitSettings, env: Mapping[str, str], head: str, content: str, message: str) -> str:
    """A commit on top of `head` in which only the file differs."""
    path = settings.file.as_posix()
    mode = _git(settings, env, "ls-tree", head, "--", path).partition(" ")[0]
    blob = _git(settings, env, "hash-object", "-w", "--stdin", given=content).strip()
    tree = _tree(settings, env, head, tuple(path.split("/")), f"{mode} blob {blob}")
    return _git(settings, env, "commit-tree", tree, "-p", head, given=message).strip()


def _tree(settings: CommitSettings, env: Mapping[str, str], treeish: str, path: tuple[str, ...], entry: str) -> str:
    """The tree with another entry at that path; trees on the way are made anew, from the innermost."""
    name, rest = path[0], path[1:]
    if rest:
        entry = f"040000 tree {_tree(settings, env, f'{treeish}:{name}', rest, entry)}"
    lines = _git(settings, env, "ls-tree", "-z", treeish if ":" in treeish else f"{treeish}^{{tree}}").split("\0")
    kept = [line for line in lines if line and line.partition("\t")[2] != name]
    return _git(settings, env, "mktree", "-z", given="\0".join((*kept, f"{entry}\t{name}", ""))).strip()


def _git(settings: CommitSettings, env: Mapping[str, str], *words: str, given: str = "") -> str:
    done = _run(settings, env, words, given=given)
    if done.returncode:
        error = TargetBusy if words[0] == "fetch" else TargetFailed
        raise error(
            f"`git {words[0]}` fails in {settings.repository} (exit code {done.returncode})",
            hint="Check the clone, the remote, and that the branch has the file.",
        )
    return done.stdout


def _run(
    settings: CommitSettings, env: Mapping[str, str], words: tuple[str, ...], *, given: str = ""
) -> subprocess.CompletedProcess[str]:
    identity = {"GIT_AUTHOR_NAME": "rollout", "GIT_AUTHOR_EMAIL": "rollout@localhost"}
    identity |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in identity.items()}
    try:
        return subprocess.run(
            ("git", "-C", str(settings.repository), *words),
            input=given,
            capture_output=True,
            text=True,
            env={**identity, **env, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise MissingProgram("git is not installed", hint="Install it: `promote: commit` needs it.") from None
    except subprocess.TimeoutExpired:
        raise TargetBusy(f"`git {words[0]}` does not end", hint="Check that the remote answers.") from None
