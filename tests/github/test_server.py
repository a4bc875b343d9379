"""The GitHub of the tests behaves as the real one does where it matters, and says so when somebody leaves its paths."""

from __future__ import annotations

import itertools
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from rollout.errors import GitHubForbids, GitHubLimits, GitHubUnavailable
from rollout.github.api import Answer, Repository
from tests.github.clock import Clock
from tests.github.server import GitHubServer
from tests.github.world import ACTIONS_BOT, Run

REF = "refs/rollouts/chat/production"
SEEN = frozenset({403, 404, 409, 422})


@pytest.fixture
def client(github: GitHubServer, clock: Clock) -> Callable[[str], Repository]:
    """Makes clients by token."""

    def made(token: str) -> Repository:
        return Repository(github.repository, token=SecretStr(token), url=github.url, clock=clock, sleep=clock.sleep)

    return made


_texts: Iterator[int] = itertools.count()


def commit(repository: Repository, *parents: str, text: str = "") -> str:
    """A commit by the API."""
    content = text or f"{next(_texts)}\n"
    file = {"path": "events.jsonl", "mode": "100644", "type": "blob", "content": content}
    tree = repository.send("POST", "git/trees", {"tree": [file]}).body["sha"]
    body = {"message": "One more", "tree": tree, "parents": list(parents)}
    return str(repository.send("POST", "git/commits", body).body["sha"])


def begin(repository: Repository) -> str:
    """The ref with its first commit, which it points to."""
    sha = commit(repository)
    repository.send("POST", "git/refs", {"ref": REF, "sha": sha})
    return sha


def move(repository: Repository, sha: str) -> Answer:
    """Ask for a fast-forward."""
    return repository.send("PATCH", f"git/{REF}", {"sha": sha, "force": False}, but=SEEN)


def where(repository: Repository) -> str:
    """Where the ref is said to be."""
    return str(repository.get(f"git/ref/{REF.removeprefix('refs/')}").body["object"]["sha"])


# Git


def test_what_the_api_writes_is_what_git_reads(github: GitHubServer, repository: Repository) -> None:
    first = begin(repository)
    second = commit(repository, first, text="two\n")
    assert move(repository, second).status == 200
    git = ["git", "--git-dir", str(github.git.folder)]
    assert subprocess.check_output([*git, "rev-list", REF], text=True).split() == [second, first]
    assert subprocess.check_output([*git, "show", f"{REF}:events.jsonl"], text=True) == "two\n"
    assert subprocess.run([*git, "fsck", "--strict"], capture_output=True, text=True, check=True).stderr == ""


def test_what_git_writes_is_what_the_api_reads(github: GitHubServer, repository: Repository, tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path / "work"), "-c", "user.name=ada", "-c", "user.email=ada@example.com"]
    subprocess.run(["git", "clone", "-q", str(github.git.folder), str(tmp_path / "work")], check=True)
    (tmp_path / "work" / "a folder").mkdir()
    (tmp_path / "work" / "a folder" / "file").write_text("content\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "By hand"], check=True)
    subprocess.run([*git, "push", "-q", "origin", "main"], check=True)
    subprocess.run(["git", "--git-dir", str(github.git.folder), "gc", "-q"], check=True)
    assert repository.get("commits/main").body["commit"]["message"] == "By hand\n"
    assert repository.get("contents/a%20folder/file", accept="application/vnd.github.raw+json").text == "content\n"


def test_a_ref_is_created_once(github: GitHubServer, repository: Repository) -> None:
    """Of those who create it at the same instant one wins."""
    shas = [commit(repository) for _ in range(4)]
    meeting = github.barrier("git/refs$", parties=4, method="POST")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(repository.send, "POST", "git/refs", {"ref": REF, "sha": sha}, but=SEEN) for sha in shas]
        answers = [one.result() for one in asked]
    statuses = [one.status for one in answers]
    assert meeting.met
    assert sorted(statuses) == [201, 422, 422, 422]
    assert {one.message for one in answers} == {"", "Reference already exists"}
    assert where(repository) == shas[statuses.index(201)]


def test_a_ref_only_moves_forward(repository: Repository) -> None:
    first = begin(repository)
    one, other = commit(repository, first), commit(repository, first)
    assert move(repository, one).status == 200
    lost = move(repository, other)
    assert (lost.status, lost.message) == (422, "Update is not a fast forward")
    assert where(repository) == one


def test_a_tree_lies_over_the_one_it_is_based_on(repository: Repository) -> None:
    def tree(base: str, *entries: dict[str, object]) -> str:
        made = [{"mode": "100644", "type": "blob", **entry} for entry in entries]
        body = {"tree": made} | ({"base_tree": base} if base else {})
        return str(repository.send("POST", "git/trees", body).body["sha"])

    first = tree("", {"path": "a/one", "content": "1"}, {"path": "two", "content": "2"})
    second = tree(first, {"path": "a/three", "content": "3"}, {"path": "two", "sha": None})
    found = repository.get(f"git/trees/{second}", query={"recursive": 1}).body["tree"]
    assert [entry["path"] for entry in found] == ["a/one", "a/three"]


def test_an_annotated_tag_is_not_its_commit(github: GitHubServer, repository: Repository) -> None:
    light, annotated = github.tag("v1"), github.tag("v2", annotated=True, message="The second")
    found = repository.get("git/ref/tags/v1").body["object"]
    assert (found["sha"], found["type"]) == (light, "commit")
    assert repository.get("git/ref/tags/v2").body["object"]["type"] == "tag"
    assert repository.get(f"git/tags/{annotated}").body["object"]["sha"] == light
    assert [tag["commit"]["sha"] for tag in repository.get("tags").body] == [light, light]


# Pull requests


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_the_pull_request_of_a_merged_commit_is_known(github: GitHubServer, repository: Repository, how: str) -> None:
    before = github.open_pull("Another, which stays open")
    number = github.open_pull("Answer faster", commits=2)
    github.commit({"other.txt": "x"}, "Meanwhile on main")
    direct, sha = github.head(), github.merge_pull(number, how)
    found = repository.get(f"commits/{sha}/pulls").body
    assert [(pull["number"], pull["merge_commit_sha"], bool(pull["merged_at"])) for pull in found] == [
        (number, sha, True)
    ]
    assert len(github.git.commit(sha).parents) == (2 if how == "merge" else 1)
    assert {"changes/2-1.txt", "changes/2-2.txt", "other.txt"} <= github.git.files(github.git.commit(sha).tree).keys()
    assert repository.get(f"commits/{direct}/pulls").body == []
    waiting = github.facts.pulls[before].head_sha
    assert [pull["number"] for pull in repository.get(f"commits/{waiting}/pulls").body] == [before]


def test_two_releases_are_compared_page_by_page(github: GitHubServer, repository: Repository) -> None:
    github.tag("v1")
    made = [github.commit({"n": str(n)}, f"Change {n}", "grace") for n in range(5)]
    github.tag("v2")
    found = repository.get("compare/v1...v2").body
    assert ([one["sha"] for one in found["commits"]], found["status"], found["total_commits"]) == (made, "ahead", 5)
    part = repository.get("compare/v1...v2", query={"per_page": 2, "page": 3})
    assert [one["sha"] for one in part.body["commits"]] == made[4:]
    assert 'rel="prev"' in part.headers["link"]
    assert repository.get("compare/v2...v1").body["status"] == "behind"


def test_the_head_of_a_pull_request_moves_between_two_looks(github: GitHubServer, repository: Repository) -> None:
    number = github.open_pull("Answer faster")
    github.move_pull_head(number, after_reads=1)
    heads = [repository.get(f"pulls/{number}").body["head"]["sha"] for _ in range(3)]
    assert heads[0] != heads[1] == heads[2]


def test_comments_and_reactions_are_kept(github: GitHubServer, repository: Repository, clock: Clock) -> None:
    number = github.open_pull("Answer faster")
    event = github.comment(number, "eve", "/rollout abort")
    comment = event["comment"]["id"]
    clock.sleep(5)
    statuses = [
        repository.send("POST", f"issues/comments/{comment}/reactions", {"content": "eyes"}).status for _ in range(2)
    ]
    own = repository.send("POST", f"issues/{number}/comments", {"body": "Rolling out"}).body
    repository.send("PATCH", f"issues/comments/{own['id']}", {"body": "Rolled out"})
    found = list(repository.pages(f"issues/{number}/comments"))
    assert statuses == [201, 200]
    assert [(one["user"]["login"], one["body"]) for one in found] == [
        ("eve", "/rollout abort"),
        (ACTIONS_BOT, "Rolled out"),
    ]
    assert github.facts.shown(comment) == ("eyes",)
    too_long = repository.send("POST", f"issues/{number}/comments", {"body": "x" * 65_537}, but=SEEN)
    assert too_long.status == 422


# Deployments, dispatches, permissions


def test_deployments_become_inactive_but_not_in_production(github: GitHubServer, repository: Repository) -> None:
    made = []
    for environment, tag in itertools.product(("production", "staging"), ("v1", "v2")):
        github.tag(tag)
        body = {"ref": tag, "environment": environment, "auto_merge": False, "required_contexts": []}
        made.append(repository.send("POST", "deployments", body).body["id"])
        repository.send("POST", f"deployments/{made[-1]}/statuses", {"state": "success", "description": tag})
    assert [github.facts.deployments[one].state for one in made] == ["success", "success", "inactive", "success"]
    assert len(repository.get("deployments", query={"environment": "production"}).body) == 2


def test_a_deployment_merges_the_default_branch_unless_told_not_to(
    github: GitHubServer, repository: Repository
) -> None:
    github.tag("v1")
    github.commit({"n": "1"}, "Meanwhile on main")
    assert repository.send("POST", "deployments", {"ref": "v1"}, but=SEEN).status == 409
    assert repository.send("POST", "deployments", {"ref": "v1", "auto_merge": False}, but=SEEN).status == 201


def test_a_description_of_a_status_has_an_end(github: GitHubServer, repository: Repository) -> None:
    deployment = repository.send("POST", "deployments", {"ref": "main"}).body["id"]
    status = {"state": "success", "description": "x" * 141}
    assert repository.send("POST", f"deployments/{deployment}/statuses", status, but=SEEN).status == 422


def test_a_dispatch_starts_a_run(github: GitHubServer, repository: Repository) -> None:
    started: list[Run] = []

    def starts(run: Run) -> str:
        started.append(run)
        return "failure"

    github.on_dispatch = starts
    body = {"ref": "main", "inputs": {"tag": "v2"}, "return_run_details": True}
    run = repository.send("POST", "actions/workflows/rollout.yml/dispatches", body).body["workflow_run_id"]
    github.wait_for_runs()
    assert [(one.id, one.inputs) for one in started] == [(run, {"tag": "v2"})]
    found = repository.get(f"actions/runs/{run}").body
    assert (found["status"], found["conclusion"]) == ("completed", "failure")


@pytest.mark.parametrize(
    ("workflow", "body", "status"),
    [
        ("rollout.yml", {"ref": "main", "inputs": {"tga": "v2"}}, 422),
        ("rollout.yml", {"ref": "nowhere"}, 422),
        ("other.yml", {"ref": "main"}, 404),
    ],
)
def test_a_wrong_dispatch_is_refused(
    repository: Repository, workflow: str, body: dict[str, object], status: int
) -> None:
    assert repository.send("POST", f"actions/workflows/{workflow}/dispatches", body, but=SEEN).status == status


@pytest.mark.parametrize(
    ("role", "permission"),
    [("admin", "admin"), ("maintain", "write"), ("write", "write"), ("triage", "read"), ("none", "none")],
)
def test_roles_are_told_by_their_old_names(
    github: GitHubServer, repository: Repository, role: str, permission: str
) -> None:
    github.person("grace", role)
    found = repository.get("collaborators/grace/permission").body
    assert (found["permission"], found["role_name"]) == (permission, role)
    assert repository.get("collaborators/nobody/permission", but=SEEN).status == 404


def test_a_token_does_what_it_may(
    github: GitHubServer, repository: Repository, client: Callable[[str], Repository]
) -> None:
    begin(repository)
    github.permissions["contents"] = "read"
    assert where(repository)
    with pytest.raises(GitHubForbids, match="Resource not accessible by integration"):
        commit(repository)
    with pytest.raises(GitHubForbids, match="Resource not accessible by integration"):
        repository.get("/user")
    assert client(github.token_of("ada")).get("/user").body["login"] == "ada"
    with pytest.raises(GitHubForbids, match="Bad credentials"):
        client("ghp_wrong").get("pulls")


# Bad weather


def test_what_has_not_changed_is_free(github: GitHubServer, repository: Repository) -> None:
    first = begin(repository)
    before = github.count()
    assert [where(repository) for _ in range(4)] == [first] * 4
    assert github.count() - before == 1
    move(repository, second := commit(repository, first))
    assert where(repository) == second
    assert github.weather.limit(ACTIONS_BOT).remaining == 1_000 - github.count()


def test_a_write_takes_effect_and_then_fails(github: GitHubServer, repository: Repository) -> None:
    first = begin(repository)
    second = commit(repository, first)
    github.fault("PATCH", "git/refs/", status=502, after=True)
    with pytest.raises(GitHubUnavailable, match="502"):
        move(repository, second)
    assert where(repository) == second


def test_a_write_fails_and_takes_no_effect(github: GitHubServer, repository: Repository) -> None:
    first = begin(repository)
    github.fault("PATCH", "git/refs/", status=503)
    with pytest.raises(GitHubUnavailable, match="503"):
        move(repository, commit(repository, first))
    assert where(repository) == first


@pytest.mark.parametrize("after", [False, True])
def test_a_connection_is_lost(github: GitHubServer, repository: Repository, *, after: bool) -> None:
    first = begin(repository)
    second = commit(repository, first)
    github.fault("PATCH", "git/refs/", drop=True, after=after)
    with pytest.raises(GitHubUnavailable):
        move(repository, second)
    assert where(repository) == (second if after else first)


def test_a_read_lags_behind(github: GitHubServer, client: Callable[[str], Repository]) -> None:
    writer, reader = client(github.token), client(github.token)
    first = begin(writer)
    second = commit(writer, first)
    move(writer, second)
    github.stale_reads(2, "git/ref/")
    assert [where(reader) for _ in range(3)] == [first, first, second]
    number = github.open_pull("Answer faster")
    writer.send("POST", f"issues/{number}/comments", {"body": "Here"})
    github.stale_reads(1, "comments")
    assert [len(reader.get(f"issues/{number}/comments").body) for _ in range(2)] == [0, 1]


def test_the_limits_of_an_hour_and_of_a_moment(github: GitHubServer, repository: Repository, clock: Clock) -> None:
    github.primary_limit(1, timedelta(seconds=90))
    assert [repository.get(path).status for path in ("pulls", "tags")] == [200, 200]
    assert sum(clock.slept) == pytest.approx(91, abs=3)
    github.secondary_limit(1, retry_after=30, method="POST")
    begin(repository)
    assert any(29 <= slept <= 32 for slept in clock.slept)
    github.primary_limit(0, timedelta(hours=1))
    with pytest.raises(GitHubLimits):
        repository.get("commits")


def test_nothing_of_the_server_stays_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    with GitHubServer(tmp_path):
        pass
    assert threading.active_count() <= before
