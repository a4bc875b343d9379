"""What the repository holds and how it came there: files, commits, comparisons, and pull requests by commit."""

from __future__ import annotations

from tests.github import shapes
from tests.github.bare import FOLDER, NoObject
from tests.github.wire import NOT_FOUND, Call, Json, Refusal, Reply, Route, page, route
from tests.github.world import Pull, World


def contents(world: World, call: Call) -> Reply:
    """GET contents/{path}: a file, bare or as JSON, or the list of a folder; at `ref` or on the default branch."""
    path = call.parts["path"].strip("/")
    found = _find(world, world.commit_at(call.query.get("ref", "main")), path)
    if found is None:
        raise Refusal(404, NOT_FOUND)
    mode, sha = found
    if mode == FOLDER:
        entries = world.git.entries(sha).items()
        inside = [(f"{path}/{name}", "dir" if mode == FOLDER else "file", sha) for name, (mode, sha) in entries]
        return Reply(body=[shapes.entry(world, *one) for one in inside])
    content = world.git.blob(sha)
    if call.raw:
        return Reply(raw=content, content_type="application/vnd.github.raw+json; charset=utf-8")
    return Reply(body=shapes.file(world, path, sha, content))


def _find(world: World, commit: str, path: str) -> tuple[str, str] | None:
    found = (FOLDER, world.git.commit(commit).tree)
    for part in path.split("/"):
        if found[0] != FOLDER or part not in (entries := world.git.entries(found[1])):
            return None
        found = entries[part]
    return found


def get_commit(world: World, call: Call) -> Reply:
    """GET commits/{ref}: by name of a commit, a branch or a tag; 422 where it is none of them."""
    try:
        sha = world.commit_at(call.parts["ref"])
    except Refusal:
        raise Refusal(422, f"No commit found for SHA: {call.parts['ref']}") from None
    return Reply(body=shapes.commit(world, world.git.commit(sha)))


def list_commits(world: World, call: Call) -> Reply:
    """GET commits: those that lead to `sha` or to the default branch."""
    history = list(world.git.history(world.commit_at(call.query.get("sha", "main"))))
    one_page = page(call, history)
    found = [shapes.commit(world, world.git.commit(sha)) for sha in one_page.body]
    return Reply(body=found, headers=one_page.headers)


def pulls_of_commit(world: World, call: Call) -> Reply:
    """GET commits/{commit_sha}/pulls: the merged one that brought it to the default branch; where the commit is not
    there, every merged or open one that has it.
    """
    name = call.parts["commit_sha"]
    if world.git.kind(name) != "commit":
        raise Refusal(422, f"No commit found for SHA: {name}")
    in_main = world.git.contains(world.commit_at("main"), name)
    found = [pull for pull in world.facts.pulls.values() if _has(world, pull, name, in_main=in_main)]
    return page(call, [shapes.pull(world, pull) for pull in found])


def _has(world: World, pull: Pull, sha: str, *, in_main: bool) -> bool:
    if in_main:
        return sha in pull.brought
    return sha in set(world.git.history(pull.head_sha)) - set(world.git.history(pull.base_sha))


def compare(world: World, call: Call) -> Reply:
    """GET compare/{basehead}: how two releases differ; 250 commits a page, the oldest first."""
    base, dots, head = call.parts["basehead"].partition("...")
    if not dots:
        raise Refusal(404, NOT_FOUND)
    try:
        before, after = world.commit_at(base), world.commit_at(head)
    except (Refusal, NoObject):
        raise Refusal(404, NOT_FOUND) from None
    ours, theirs = list(world.git.history(after)), list(world.git.history(before))
    ahead = [sha for sha in ours if sha not in set(theirs)][::-1]
    behind = [sha for sha in theirs if sha not in set(ours)]
    one_page = page(call, ahead, usually=250, most=250)
    meeting = next((sha for sha in theirs if sha in set(ours)), None)
    if meeting is None:
        raise Refusal(404, "No common ancestor between the two commits")
    where = f"{world.repository_url}/compare/{base}...{head}"
    body: Json = {
        "url": where,
        "html_url": f"{world.page_url}/compare/{base}...{head}",
        "permalink_url": f"{world.page_url}/compare/{before[:7]}...{after[:7]}",
        "diff_url": f"{where}.diff",
        "patch_url": f"{where}.patch",
        "base_commit": shapes.commit(world, world.git.commit(before)),
        "merge_base_commit": shapes.commit(world, world.git.commit(meeting)),
        "status": _status(ahead, behind),
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": [shapes.commit(world, world.git.commit(sha)) for sha in one_page.body],
    }
    return Reply(body=body, headers=one_page.headers)


def _status(ahead: list[str], behind: list[str]) -> str:
    if ahead and behind:
        return "diverged"
    return "ahead" if ahead else "behind" if behind else "identical"


ROUTES: tuple[Route, ...] = (
    route("GET", "contents/{path}", contents, "contents:read"),
    route("GET", "commits/{commit_sha}/pulls", pulls_of_commit, "pull-requests:read", "contents:read"),
    route("GET", "commits/{ref}", get_commit, "contents:read"),
    route("GET", "commits", list_commits, "contents:read"),
    route("GET", "compare/{basehead}", compare, "contents:read"),
)
