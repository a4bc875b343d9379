"""What a workflow finds in GITHUB_EVENT_PATH and in its variables, for each event that may start Rollout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.github import shapes
from tests.github.described import Description
from tests.github.stage import AUTHOR, Stage
from tests.github.wire import Json
from tests.github.world import Comment, World

RUN_ID = "7001"
TOKEN = "ghs_0123456789abcdefghijABCDEFGHIJ012345"
"""The workflow's own."""


class Events(Stage):
    """The events of what people do, each held against GitHub's description and whole as GitHub sends it."""

    def __init__(self, world: World, description: Description | None) -> None:
        self.token = TOKEN
        self.description = description
        self.violations: list[str] = []
        """What broke the description; the test fails for it."""
        super().__init__(world)

    def comment(self, number: int, login: str, body: str, *, action: str = "created", on_pull: bool = True) -> Json:
        """Somebody comments on a pull request."""
        payload = issue_comment(self.world, self.say(number, login, body), action=action, on_pull=on_pull)
        return self._whole(f"issue-comment-{action}", payload)

    def push_tag_event(self, tag: str, *, by: str = AUTHOR, deleted: bool = False) -> Json:
        """The push of a tag that is there, or its removal."""
        return self._whole("push", push_of_tag(self.world, tag, by=by, deleted=deleted))

    def release_event(self, tag: str, *, by: str = AUTHOR, action: str = "published", prerelease: bool = False) -> Json:
        """A release of a tag that is there."""
        payload = release(self.world, tag, by=by, action=action, prerelease=prerelease)
        return self._whole(f"release-{action}", payload)

    def dispatch_event(self, inputs: Mapping[str, str] | None = None, *, by: str = AUTHOR) -> Json:
        """The workflow started by hand on the default branch."""
        return self._whole("workflow-dispatch", workflow_dispatch(self.world, inputs or {}, by=by))

    def schedule_event(self) -> Json:
        """The cron line was due. This is no webhook, so nothing describes it."""
        return schedule(self.world)

    def variables(self, event: str, payload: Json, folder: Path, *, run_id: str = RUN_ID) -> dict[str, str]:
        """The variables of a job on this event (`push`, `release`, `issue_comment`, ...), its files in `folder`."""
        return variables(self.world, event, payload, folder, token=self.token, run_id=run_id)

    def _whole(self, event: str, payload: Json) -> Json:
        if self.description is None:
            return payload
        whole, wrong = self.description.of_event(event, payload)
        self.violations += wrong
        return whole


def issue_comment(world: World, comment: Comment, *, action: str = "created", on_pull: bool = True) -> Json:
    """Somebody said something under a pull request, or, without `on_pull`, under a plain issue."""
    pull = shapes.pull(world, world.facts.pulls[comment.number])
    kept = ("id", "node_id", "number", "title", "user", "state", "body", "created_at", "updated_at", "labels")
    issue = {name: pull[name] for name in kept} | {"url": pull["issue_url"], "html_url": pull["html_url"]}
    if on_pull:
        issue["pull_request"] = {name: pull[name] for name in ("url", "html_url", "merged_at")}
    return {
        "action": action,
        "issue": issue,
        "comment": shapes.comment(world, comment),
        **_common(world, comment.author),
    }


def push_of_tag(world: World, tag: str, *, by: str, deleted: bool = False) -> Json:
    """A tag was pushed. `after` is what the tag points to: of an annotated one the tag's own object."""
    sha = world.git.ref(f"refs/tags/{tag}") or "0" * 40
    head = None if deleted else shapes.git_commit(world, world.git.commit(sha))
    return {
        "ref": f"refs/tags/{tag}",
        "before": sha if deleted else "0" * 40,
        "after": "0" * 40 if deleted else sha,
        "created": not deleted,
        "deleted": deleted,
        "forced": False,
        "base_ref": "refs/heads/main",
        "compare": f"{world.page_url}/compare/{tag}",
        "commits": [],
        "head_commit": head and {"id": head["sha"], "message": head["message"], "author": head["author"]},
        "pusher": {"name": by, "email": f"{by}@users.noreply.github.com"},
        **_common(world, by),
    }


def release(world: World, tag: str, *, by: str, action: str = "published", prerelease: bool = False) -> Json:
    """A release was published for a tag."""
    told = {
        "id": 501,
        "tag_name": tag,
        "target_commitish": "main",
        "name": tag,
        "draft": False,
        "prerelease": prerelease,
        "author": shapes.user(by),
        "html_url": f"{world.page_url}/releases/tag/{tag}",
        "body": "",
    }
    return {"action": action, "release": told, **_common(world, by)}


def workflow_dispatch(world: World, inputs: Mapping[str, str], *, by: str, ref: str = "refs/heads/main") -> Json:
    """Somebody, or the workflow itself, started the workflow by hand."""
    return {"inputs": dict(inputs), "ref": ref, "workflow": ".github/workflows/rollout.yml", **_common(world, by)}


def schedule(world: World) -> Json:
    """The cron line was due."""
    return {"schedule": "*/10 * * * *", "workflow": ".github/workflows/rollout.yml", **_common(world, "ada")}


def _common(world: World, sender: str) -> Json:
    return {"repository": shapes.repository(world), "sender": shapes.user(sender)}


def variables(
    world: World, event: str, payload: Json, folder: Path, *, token: str, run_id: str = RUN_ID, attempt: int = 1
) -> dict[str, str]:
    """The variables of a job on this event, with the event in a file in `folder`, where outputs and summary go too."""
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "event.json"
    written.write_text(json.dumps(payload), encoding="utf-8")
    ref = payload.get("ref", "refs/heads/main")
    if event == "release":
        ref = f"refs/tags/{payload['release']['tag_name']}"
    for name in ("output", "summary"):
        (folder / name).touch()
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(written),
        "GITHUB_REPOSITORY": world.name,
        "GITHUB_REPOSITORY_OWNER": world.name.split("/")[0],
        "GITHUB_API_URL": world.url,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REF": ref,
        "GITHUB_REF_NAME": ref.split("/", 2)[2],
        "GITHUB_REF_TYPE": "tag" if ref.startswith("refs/tags/") else "branch",
        "GITHUB_SHA": world.git.commit(world.git.ref(ref) or world.commit_at("main")).sha,
        "GITHUB_ACTOR": payload["sender"]["login"],
        "GITHUB_TRIGGERING_ACTOR": payload["sender"]["login"],
        "GITHUB_WORKFLOW": "rollout",
        "GITHUB_WORKFLOW_REF": f"{world.name}/.github/workflows/rollout.yml@{ref}",
        "GITHUB_JOB": "rollout",
        "GITHUB_RUN_ID": run_id,
        "GITHUB_RUN_NUMBER": "1",
        "GITHUB_RUN_ATTEMPT": str(attempt),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_TOKEN": token,
        "ROLLOUT_TOKEN": token,
        "RUNNER_TEMP": str(folder),
    }
