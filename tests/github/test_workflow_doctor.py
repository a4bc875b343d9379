"""Workflows that would go wrong: each mistake is found, with what to do about it, and only that one."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.core.finding import Finding, Severity
from rollout.core.pacing import Pacing
from rollout.github.workflow_doctor import findings_of, look_at_workflows
from rollout.init import Pin, Project, workflow_text

PATH = ".github/workflows/rollout.yml"
GOOD = workflow_text(
    Project(root=Path(), service="chat", image="ghcr.io/acme/chat"), pacing=Pacing.HOLD, pin=Pin(commit="a" * 40)
)


def wrong(text: str, **others: str) -> list[Finding]:
    texts = {PATH: text, **{f".github/workflows/{name}.yml": other for name, other in others.items()}}
    return [one for one in findings_of(texts) if one.severity is not Severity.OK]


def without(text: str, *lines: str) -> str:
    """The text less the lines that begin like this."""
    kept = [line for line in text.splitlines() if not line.strip().startswith(lines)]
    assert len(kept) < len(text.splitlines())
    return "\n".join(kept) + "\n"


def changed(before: str, after: str, *, times: int = -1) -> str:
    assert before in GOOD
    return GOOD.replace(before, after, times)


def test_a_good_one_is_said_to_be_good() -> None:
    (found,) = findings_of({PATH: GOOD})
    assert (found.subject, found.severity, found.hint) == (PATH, Severity.OK, "")


MISTAKES = {
    "no manual run": (without(GOOD, "workflow_dispatch", "inputs:", "tag:", "description:", "type:"), "hand over"),
    "no tag by hand": (without(GOOD, "inputs:", "tag:", "description:", "type:"), "by hand"),
    "no comments": (without(GOOD, "issue_comment", "types:"), "steer"),
    "edited comments": (without(GOOD, "types:"), "edited"),
    "no watchdog": (without(GOOD, "schedule", "- cron"), "has died"),
    "two starts": (
        changed("  workflow_dispatch:", "  release: { types: [published] }\n  workflow_dispatch:"),
        "two runs",
    ),
    "all branches": (changed('    tags: ["v*"]', "    branches: [main]"), "only a tag"),
    "pull_request_target": (changed("  workflow_dispatch:", "  pull_request_target:\n  workflow_dispatch:"), "secrets"),
    "no journal": (
        changed("      contents: write # the journal below", "      contents: read # the journal below"),
        "contents",
    ),
    "no comment": (changed("      pull-requests: write # the comment", "      # none"), "pull-requests"),
    "no hand-over": (changed("      actions: write # start the run", "      # start the run"), "actions"),
    "no record": (changed("deployments: write", "deployments: none", times=1), "deployments"),
    "one run at a time lost": (without(GOOD, "queue:"), "displace"),
    "cancelled": (changed("cancel-in-progress: false", "cancel-in-progress: true"), "watches over"),
    "a group per release": (
        changed("group: rollout-chat-production", "group: rollout-${{ github.ref }}"),
        "two are driven",
    ),
    "no group": (without(GOOD, "concurrency:", "group:", "cancel-in-progress", "queue:"), "without concurrency"),
    "a group for all": (changed("jobs:\n", "concurrency: rollout-chat-production\njobs:\n"), "whole workflow"),
    "orders in the group": (
        changed("    runs-on: ubuntu-24.04\n", "    runs-on: ubuntu-24.04\n    concurrency: Rollout-Chat-Production\n"),
        "what it is to stop",
    ),
    "orders on the same runner": (changed("runs-on: ubuntu-24.04", "runs-on: [self-hosted, linux]"), "held for hours"),
    "a runner for every comment": (
        changed(" && startsWith(github.event.comment.body, '/rollout')", ""),
        "every comment",
    ),
    "comments to the driver": (without(GOOD, "if: github.event_name"), "goes to the job that drives"),
    "not pinned": (changed(f"rollout@{'a' * 40}", "rollout@v1", times=1), "moved to other code"),
    "not filled in": (changed("a" * 40, "0" * 40, times=1), "names no commit"),
    "two deployments": (without(GOOD, "deployment: false"), "of its own"),
    "too short a time": (changed("timeout-minutes: 360", "timeout-minutes: 60"), "ended after 60 minutes"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_and_nothing_else(name: str) -> None:
    text, words = MISTAKES[name]
    (found,) = wrong(text)
    assert words in found.message
    assert found.hint
    assert found.subject.startswith(PATH)


def test_permissions_that_nobody_named_and_those_that_allow_everything() -> None:
    lines = ("permissions:", "actions: write", "contents: write", "deployments: write", "pull-requests: write")
    none = without(GOOD, *lines)
    assert ["names no permissions" in one.message for one in wrong(none)] == [True, True]
    everything = none.replace("jobs:\n", "permissions: write-all\njobs:\n")
    assert ["write-all" in one.message for one in wrong(everything)] == [True, True]


@pytest.mark.parametrize(
    "step",
    ["run: git push --follow-tags", "uses: googleapis/release-please-action@v4", "run: npx semantic-release"],
)
def test_tags_that_start_nothing_are_pointed_at(step: str) -> None:
    text = f"on: push\njobs:\n  tag:\n    runs-on: ubuntu-24.04\n    steps:\n      - {step}\n"
    (found,) = wrong(GOOD, tag=text)
    assert found.subject == ".github/workflows/tag.yml"
    assert "starts no workflow" in found.message
    other = f"{text}        env: {{ TOKEN: '${{{{ secrets.RELEASE_TOKEN }}}}' }}\n"
    assert wrong(GOOD, tag=other) == []


def test_workflows_without_this_action_are_nobodys_business(tmp_path: Path) -> None:
    assert look_at_workflows(tmp_path) == ()
    assert (
        list(findings_of({"a.yml": "on: pull_request_target\njobs: { a: { steps: [{ uses: acme/other@v1 }] } }"})) == []
    )
    assert list(findings_of({"b.yml": "on: [push"})) == []


def test_a_file_of_ours_that_is_no_yaml_is_an_error() -> None:
    (found,) = wrong("on: [push\n# acme/rollout@v1\n")
    assert found.severity is Severity.ERROR
    assert "not YAML" in found.message


def test_files_are_found_below_the_root(tmp_path: Path) -> None:
    file = tmp_path / PATH
    file.parent.mkdir(parents=True)
    file.write_text(GOOD)
    assert [one.severity for one in look_at_workflows(tmp_path)] == [Severity.OK]
