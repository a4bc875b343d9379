"""What runs and what is out: workflows, their runs, deployments, and who may do what."""

from __future__ import annotations

import yaml

from tests.github import shapes
from tests.github.bare import NoObject
from tests.github.wire import NOT_FOUND, Call, Json, Refusal, Reply, Route, page, route
from tests.github.world import ACTIONS_BOT, Deployment, Run, Status, World

LONGEST_DESCRIPTION = 140
STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
_OLD_NAMES = {"maintain": "write", "triage": "read"}


def get_repository(world: World, call: Call) -> Reply:
    """GET the repository."""
    return Reply(body=shapes.repository(world))


def get_user(world: World, call: Call) -> Reply:
    """GET /user: a person; a workflow's own token is nobody."""
    if call.who == ACTIONS_BOT:
        raise Refusal(403, "Resource not accessible by integration")
    return Reply(body=shapes.user(call.who))


def permission(world: World, call: Call) -> Reply:
    """GET collaborators/{username}/permission: the old four names, and the role by its own name beside them."""
    login = call.parts["username"]
    role = world.facts.people.get(login)
    if role is None:
        raise Refusal(404, f"{login} is not a user")
    body = {"permission": _OLD_NAMES.get(role, role), "role_name": role, "user": shapes.user(login)}
    return Reply(body=body)


def dispatch(world: World, call: Call) -> Reply:
    """POST actions/workflows/{workflow_id}/dispatches: a run, where the workflow at this ref takes these inputs."""
    name, ref, inputs = call.parts["workflow_id"], call.body["ref"], call.body.get("inputs") or {}
    sha = next((sha for kind in ("heads", "tags") if (sha := world.ref(f"refs/{kind}/{ref}"))), None)
    if sha is None:
        raise Refusal(422, f"No ref found for: {ref}")
    if _trigger(world, world.commit_at("main"), name) is None:
        raise Refusal(404, NOT_FOUND)
    trigger = _trigger(world, world.git.commit(sha).sha, name)
    if trigger is None or "workflow_dispatch" not in trigger:
        raise Refusal(422, "Workflow does not have 'workflow_dispatch' trigger")
    known = (trigger["workflow_dispatch"] or {}).get("inputs") or {}
    if unknown := sorted(set(inputs) - set(known)):
        raise Refusal(422, f"Unexpected inputs provided: {unknown}")
    lacking = [key for key, one in known.items() if (one or {}).get("required") and key not in inputs]
    if any("default" not in known[key] for key in lacking):
        raise Refusal(422, f"Required input '{lacking[0]}' not provided")
    run = start_run(world, name, "workflow_dispatch", ref=ref, sha=world.git.commit(sha).sha, inputs=inputs)
    if not call.body.get("return_run_details"):
        return Reply(status=204)
    told = shapes.run(world, run)
    return Reply(body={"workflow_run_id": run.id, "run_url": told["url"], "html_url": told["html_url"]})


def start_run(world: World, workflow: str, event: str, *, ref: str, sha: str, inputs: dict[str, str]) -> Run:
    """A run of a workflow begins."""
    run = Run(
        id=next(world.ids), workflow=workflow, event=event, ref=ref, sha=sha, created_at=world.clock(), inputs=inputs
    )
    world.facts.runs[run.id] = run
    return run


def _trigger(world: World, commit: str, name: str) -> Json | None:
    """What starts the workflow in the file of this name; None where there is none."""
    files = world.git.files(world.git.commit(commit).tree)
    found = files.get(f".github/workflows/{name}")
    if found is None:
        return None
    # YAML 1.1 reads `on` as true.
    on = yaml.safe_load(world.git.blob(found[1])).get(True) or {}
    if isinstance(on, str):
        return {on: None}
    return dict.fromkeys(on) if isinstance(on, list) else dict(on)


def get_run(world: World, call: Call) -> Reply:
    """GET actions/runs/{run_id}."""
    found = world.facts.runs.get(int(call.parts["run_id"]))
    if found is None:
        raise Refusal(404, NOT_FOUND)
    return Reply(body=shapes.run(world, found))


def list_runs(world: World, call: Call) -> Reply:
    """GET actions/runs: the newest first."""
    wanted = call.query.get("status")
    found = [run for run in reversed(world.facts.runs.values()) if wanted in (None, run.status, run.conclusion)]
    one_page = page(call, [shapes.run(world, run) for run in found])
    return Reply(body={"total_count": len(found), "workflow_runs": one_page.body}, headers=one_page.headers)


def create_deployment(world: World, call: Call) -> Reply:
    """POST deployments. GitHub merges the default branch into the ref unless `auto_merge` is false."""
    given = call.body
    try:
        sha = world.commit_at(given["ref"])
    except (Refusal, NoObject):
        raise Refusal(422, f"No ref found for: {given['ref']}") from None
    if given.get("auto_merge", True) and not world.git.contains(sha, world.commit_at("main")):
        raise Refusal(409, f"Conflict merging main into {given['ref']}")
    environment = given.get("environment", "production")
    made = Deployment(
        id=next(world.ids),
        ref=given["ref"],
        sha=sha,
        task=given.get("task", "deploy"),
        environment=environment,
        description=_short(given.get("description")),
        payload=given.get("payload", {}),
        creator=call.who,
        production=given.get("production_environment", environment == "production"),
        transient=given.get("transient_environment", False),
        created_at=world.clock(),
    )
    world.facts.deployments[made.id] = made
    return Reply(status=201, body=shapes.deployment(world, made))


def _short(description: str | None) -> str:
    if description and len(description) > LONGEST_DESCRIPTION:
        message = f"description is too long (maximum is {LONGEST_DESCRIPTION} characters)"
        raise Refusal(422, "Validation Failed", errors=[{"resource": "Deployment", "message": message}])
    return description or ""


def list_deployments(world: World, call: Call) -> Reply:
    """GET deployments: the newest first, by sha, ref, task and environment."""
    found = [
        shapes.deployment(world, one)
        for one in reversed(world.facts.deployments.values())
        if all(call.query.get(name) in (None, "", "none", getattr(one, name)) for name in _FILTERS)
    ]
    return page(call, found)


_FILTERS = ("sha", "ref", "task", "environment")


def get_deployment(world: World, call: Call) -> Reply:
    """GET deployments/{deployment_id}."""
    return Reply(body=shapes.deployment(world, _deployment(world, call)))


def _deployment(world: World, call: Call) -> Deployment:
    name = call.parts["deployment_id"]
    found = world.facts.deployments.get(int(name)) if name.isdigit() else None
    if found is None:
        raise Refusal(404, NOT_FOUND)
    return found


def create_status(world: World, call: Call) -> Reply:
    """POST deployments/{deployment_id}/statuses; a success makes former ones of the same environment inactive, but
    not in production.
    """
    of, given = _deployment(world, call), call.body
    if given["state"] not in STATES:
        raise Refusal(422, "Validation Failed", errors=[{"resource": "DeploymentStatus", "field": "state"}])
    made = Status(
        id=next(world.ids),
        state=given["state"],
        creator=call.who,
        created_at=world.clock(),
        description=_short(given.get("description")),
        environment=given.get("environment", of.environment),
        log_url=given.get("log_url") or given.get("target_url") or "",
        environment_url=given.get("environment_url", ""),
    )
    of.statuses.append(made)
    if made.state == "success" and given.get("auto_inactive", True):
        _retire(world, of, call.who)
    return Reply(status=201, body=shapes.status(world, of, made))


def _retire(world: World, newest: Deployment, who: str) -> None:
    for other in world.facts.deployments.values():
        same = other.environment == newest.environment and other is not newest
        if same and other.state == "success" and not (other.transient or other.production):
            other.statuses.append(Status(id=next(world.ids), state="inactive", creator=who, created_at=world.clock()))


def list_statuses(world: World, call: Call) -> Reply:
    """GET deployments/{deployment_id}/statuses: the newest first."""
    of = _deployment(world, call)
    return page(call, [shapes.status(world, of, one) for one in reversed(of.statuses)])


ROUTES: tuple[Route, ...] = (
    route("GET", "", get_repository),
    route("GET", "/user", get_user, whole=True),
    route("GET", "collaborators/{username}/permission", permission),
    route("POST", "actions/workflows/{workflow_id}/dispatches", dispatch, "actions:write"),
    route("GET", "actions/runs/{run_id}", get_run, "actions:read"),
    route("GET", "actions/runs", list_runs, "actions:read"),
    route("POST", "deployments", create_deployment, "deployments:write"),
    route("GET", "deployments", list_deployments, "deployments:read"),
    route("GET", "deployments/{deployment_id}", get_deployment, "deployments:read"),
    route("POST", "deployments/{deployment_id}/statuses", create_status, "deployments:write"),
    route("GET", "deployments/{deployment_id}/statuses", list_statuses, "deployments:read"),
)
