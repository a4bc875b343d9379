"""What would go wrong with the workflows of a repository, as far as their files tell. Nothing is asked of GitHub.

Each rule names the fact of GitHub Actions that it rests on; docs/action.md says what a workflow needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from rollout.core.finding import Finding, Severity
from rollout.github.workflow_file import Concurrency, Job, NotAWorkflow, Workflow, read_workflow

FOLDER: Final = Path(".github/workflows")
HOLD_MINUTES: Final = 330
"""How long a job holds before it hands over."""
NEEDED: Final[Mapping[str, tuple[Severity, str]]] = {
    "contents": (Severity.ERROR, "the journal is written below refs/rollouts"),
    "pull-requests": (Severity.ERROR, "the comment on the pull request is written"),
    "actions": (Severity.ERROR, "a job starts the run that it hands over to"),
    "deployments": (Severity.WARNING, "the deployment is recorded"),
}
"""What each job of the action writes with its token, and why."""
_PER_RUN: Final = re.compile(
    r"github\.(?:ref|ref_name|sha|run_id|run_number|head_ref)\b|github\.event\.(?:release|inputs|comment)"
)
_TAG_MAKERS: Final = re.compile(
    r"googleapis/release-please-action|google-github-actions/release-please-action|changesets/action|"
    r"softprops/action-gh-release|cycjimmy/semantic-release-action|ncipollo/release-action|"
    r"mathieudutour/github-tag-action|anothrNick/github-tag-action|"
    r"\bgit push\b[^\n]*(?:--tags|--follow-tags|refs/tags)|\bgh release create\b|semantic-release"
)
_OWN_TOKEN: Final = re.compile(r"secrets\.(?!GITHUB_TOKEN\b)[A-Za-z_]|create-github-app-token")


def look_at_workflows(root: Path) -> tuple[Finding, ...]:
    """Findings on every workflow of the repository at `root` that uses this action; nothing where there are none."""
    texts = {
        path.relative_to(root).as_posix(): path.read_text("utf-8", errors="replace")
        for path in sorted((root / FOLDER).glob("*.y*ml"))
    }
    return tuple(findings_of(texts))


def findings_of(texts: Mapping[str, str]) -> Iterator[Finding]:
    """Findings on workflows, given as text by path."""
    ours: dict[str, Workflow] = {}
    for path, text in texts.items():
        try:
            workflow = read_workflow(text)
        except NotAWorkflow as wrong:
            if "/rollout@" in text:
                yield Finding(subject=path, severity=Severity.ERROR, message=str(wrong), hint="mend the file")
            continue
        if workflow.rollout_jobs:
            ours[path] = workflow
    for path, workflow in ours.items():
        found = tuple(_of_workflow(path, workflow))
        yield from found or (
            _finding(path, Severity.OK, "triggers, permissions and concurrency are as they should be"),
        )
    if any(_starts_by_tag(workflow) for workflow in ours.values()):
        yield from _tags_that_start_nothing({path: text for path, text in texts.items() if path not in ours})


def _of_workflow(path: str, workflow: Workflow) -> Iterator[Finding]:
    yield from _triggers(path, workflow)
    if workflow.concurrency is not None and "issue_comment" in workflow.events:
        yield _finding(
            path,
            Severity.ERROR,
            "the concurrency of the whole workflow makes a comment wait for the job that it is to stop",
            "move `concurrency` into the job that drives the rollout",
        )
    for job in workflow.rollout_jobs:
        subject = f"{path} job {job.name}"
        yield from _permissions(subject, job)
        yield from _pins(subject, job)
        if job.is_for_comments:
            yield from _order_job(subject, job, workflow)
        else:
            yield from _driving_job(subject, job, workflow)


def _triggers(path: str, workflow: Workflow) -> Iterator[Finding]:
    events = workflow.events
    if "pull_request_target" in events:
        yield _finding(
            path,
            Severity.ERROR,
            "pull_request_target gives whoever opens a pull request this workflow's secrets, and starts no rollout",
            "remove it; comments arrive by issue_comment",
        )
    tags = "tags" in events.get("push", {})
    if "push" in events and not tags:
        yield _finding(
            path,
            Severity.WARNING,
            "every push starts a run, also of a branch, and only a tag starts a rollout",
            'filter it: push: { tags: ["v*"] }',
        )
    if tags and "release" in events:
        yield _finding(
            path,
            Severity.WARNING,
            "a release that is published pushes its tag as well, so one release starts two runs",
            "keep one of `push` and `release`",
        )
    if "release" in events and "published" not in _list(events["release"].get("types")):
        yield _finding(
            path,
            Severity.WARNING,
            "release starts a run for every change of a release",
            "write release: { types: [published] }",
        )
    yield from _dispatch(path, events)
    yield from _comments(path, events)
    if "schedule" not in events:
        yield _finding(
            path,
            Severity.WARNING,
            "no schedule looks after a rollout whose job has died",
            'add schedule: [{ cron: "*/10 * * * *" }]',
        )


def _dispatch(path: str, events: Mapping[str, Mapping[str, object]]) -> Iterator[Finding]:
    if "workflow_dispatch" not in events:
        yield _finding(
            path,
            Severity.ERROR,
            "without workflow_dispatch a job cannot hand over to the next, and an order cannot wake the rollout",
            "add workflow_dispatch with an input `tag`",
        )
    elif "tag" not in _mapping(events["workflow_dispatch"].get("inputs")):
        yield _finding(
            path,
            Severity.WARNING,
            "workflow_dispatch has no input `tag`, so no release can be started by hand",
            "add inputs: { tag: { type: string } }",
        )


def _comments(path: str, events: Mapping[str, Mapping[str, object]]) -> Iterator[Finding]:
    if "issue_comment" not in events:
        yield _finding(
            path,
            Severity.WARNING,
            "without issue_comment nobody can steer the rollout from its pull request",
            "add issue_comment: { types: [created] } and a job for it",
        )
    elif _list(events["issue_comment"].get("types")) != ("created",):
        yield _finding(
            path,
            Severity.ERROR,
            "an edited or deleted comment starts a run as well, long after it was written",
            "write issue_comment: { types: [created] }",
        )


def _permissions(subject: str, job: Job) -> Iterator[Finding]:
    has = job.permissions
    if has is None:
        yield _finding(
            subject,
            Severity.WARNING,
            "it names no permissions, so a setting of the repository decides what its token may do",
            f"name them: {', '.join(f'{name}: write' for name in sorted(NEEDED))}",
        )
        return
    if has.get("*") == "write":
        yield _finding(
            subject,
            Severity.WARNING,
            "write-all lets its token do everything",
            f"name what it needs: {', '.join(f'{name}: write' for name in sorted(NEEDED))}",
        )
        return
    for name, (severity, why) in NEEDED.items():
        if has.get(name) != "write":
            yield _finding(
                subject, severity, f"its token lacks `{name}: write`, with which {why}", f"add `{name}: write`"
            )


def _pins(subject: str, job: Job) -> Iterator[Finding]:
    for step in job.steps:
        if step.is_rollout and step.ref == "0" * 40:
            yield _finding(
                subject,
                Severity.ERROR,
                f"{step.uses} names no commit yet",
                "put the commit of a release there: `git ls-remote --tags` of that repository lists them",
            )
        elif not step.is_pinned:
            yield _finding(
                subject,
                Severity.WARNING,
                f"{step.uses} can be moved to other code by whoever may push there",
                "name the commit, with the version in a comment behind it",
            )


def _order_job(subject: str, job: Job, workflow: Workflow) -> Iterator[Finding]:
    if "issue.pull_request" not in job.condition or "comment.body" not in job.condition:
        yield _finding(
            subject,
            Severity.WARNING,
            "a runner starts for every comment",
            "write if: github.event.issue.pull_request && startsWith(github.event.comment.body, '/rollout')",
        )
    drivers = [other for other in workflow.rollout_jobs if not other.is_for_comments]
    groups = {other.concurrency.group.lower() for other in drivers if other.concurrency is not None}
    if job.concurrency is not None and job.concurrency.group.lower() in groups:
        yield _finding(
            subject,
            Severity.ERROR,
            "it is in the group of the job that drives, so an abort waits for what it is to stop",
            "remove `concurrency` from this job",
        )
    if any("self-hosted" in other.runs_on and set(other.runs_on) == set(job.runs_on) for other in drivers):
        yield _finding(
            subject,
            Severity.WARNING,
            "it waits for the runner on which a rollout may be held for hours, if there is only one",
            "let it run on another one, such as ubuntu-24.04: it touches no target",
        )


def _driving_job(subject: str, job: Job, workflow: Workflow) -> Iterator[Finding]:
    if "issue_comment" in workflow.events and not job.spares_comments:
        yield _finding(
            subject,
            Severity.ERROR,
            "a comment goes to the job that drives the rollout, and waits there for the job that it is to stop",
            "write if: github.event_name != 'issue_comment', and give comments a job of their own",
        )
    yield from _group(subject, job.concurrency or workflow.concurrency)
    if job.own_deployment:
        yield _finding(
            subject,
            Severity.WARNING,
            "GitHub makes a deployment of its own for the environment, beside the one of the rollout",
            "write environment: { name: ..., deployment: false }",
        )
    if job.timeout is not None and job.timeout <= HOLD_MINUTES and not _wakes(job):
        yield _finding(
            subject,
            Severity.WARNING,
            f"it is ended after {job.timeout:g} minutes, and with `pacing: hold` it hands over after {HOLD_MINUTES}",
            "write timeout-minutes: 360, unless rollout.yml says `pacing: wake`",
        )


def _group(subject: str, concurrency: Concurrency | None) -> Iterator[Finding]:
    if concurrency is None:
        yield _finding(
            subject,
            Severity.ERROR,
            "without concurrency two jobs wake up for one rollout; the journal holds one of them off, as an error",
            "write concurrency: { group: rollout-..., cancel-in-progress: false, queue: max }",
        )
        return
    if _PER_RUN.search(concurrency.group):
        yield _finding(
            subject,
            Severity.ERROR,
            f"the group {concurrency.group} is another one for each release, so two are driven at once",
            "name the group by service and environment alone",
        )
    if concurrency.cancels:
        yield _finding(
            subject,
            Severity.ERROR,
            "cancel-in-progress ends the job that watches over the canary whenever another run begins",
            "write cancel-in-progress: false",
        )
    elif not concurrency.queues_all:
        yield _finding(
            subject,
            Severity.WARNING,
            "of the runs that wait GitHub keeps the newest only, so a tick can displace a release",
            "write queue: max",
        )


def _wakes(job: Job) -> bool:
    return any(step.is_rollout and step.inputs.get("pacing") == "wake" for step in job.steps)


def _starts_by_tag(workflow: Workflow) -> bool:
    return "tags" in workflow.events.get("push", {}) or "release" in workflow.events


def _tags_that_start_nothing(others: Mapping[str, str]) -> Iterator[Finding]:
    for path, text in others.items():
        found = _TAG_MAKERS.search(text)
        if found is not None and not _OWN_TOKEN.search(text):
            yield _finding(
                path,
                Severity.WARNING,
                f"it seems to make tags ({found[0].strip()}) with its GITHUB_TOKEN; such a tag starts no workflow",
                "give it the token of an app or a person, or let it run the workflow of the rollout by "
                "`gh workflow run` with the tag",
            )


def _finding(subject: str, severity: Severity, message: str, hint: str = "") -> Finding:
    return Finding(subject=subject, severity=severity, message=message, hint=hint)


def _list(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(one) for one in value) if isinstance(value, list) else ()


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
