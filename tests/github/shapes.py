"""How GitHub writes what it knows as JSON: the fields that Rollout may come to rely on.

What GitHub's description requires beside them is filled in by `described.py` with nothing in it.
"""

from __future__ import annotations

import base64
from datetime import datetime
from urllib.parse import quote

from tests.github.bare import Commit, Person, Tag
from tests.github.wire import Json
from tests.github.world import ACTIONS_BOT, Comment, Deployment, Pull, Reaction, Run, Status, World


def time_of(when: datetime) -> str:
    """A time as GitHub writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def user(login: str) -> Json:
    """A person or a bot."""
    bot = login.endswith("[bot]")
    return {
        "login": login,
        "id": 41898282 if login == ACTIONS_BOT else sum(login.encode()) + 1000,
        "type": "Bot" if bot else "User",
        "site_admin": False,
        "url": f"https://api.github.com/users/{quote(login)}",
        "html_url": f"https://github.com/{'apps/' if bot else ''}{login.removesuffix('[bot]')}",
    }


def git_object(world: World, kind: str, sha: str) -> Json:
    """What a ref or a tag points to."""
    return {"sha": sha, "type": kind, "url": f"{world.repository_url}/git/{kind}s/{sha}"}


def ref(world: World, name: str, sha: str) -> Json:
    """A git ref."""
    return {
        "ref": name,
        "node_id": node(name),
        "url": f"{world.repository_url}/git/{name}",
        "object": git_object(world, world.git.kind(sha), sha),
    }


def tag(world: World, found: Tag) -> Json:
    """An annotated tag."""
    return {
        "node_id": node(found.sha),
        "sha": found.sha,
        "url": f"{world.repository_url}/git/tags/{found.sha}",
        "tag": found.name,
        "message": found.message,
        "tagger": signature(found.tagger),
        "object": git_object(world, found.kind, found.object),
    }


def signature(person: Person) -> Json:
    """Who and when, of a commit."""
    return {"name": person.name, "email": person.email, "date": time_of(person.at)}


def git_commit(world: World, found: Commit) -> Json:
    """A commit as the git part of the API has it."""
    return {
        "sha": found.sha,
        "node_id": node(found.sha),
        "url": f"{world.repository_url}/git/commits/{found.sha}",
        "html_url": f"{world.page_url}/commit/{found.sha}",
        "author": signature(found.author),
        "committer": signature(found.committer),
        "message": found.message,
        "tree": {"sha": found.tree, "url": f"{world.repository_url}/git/trees/{found.tree}"},
        "parents": [
            {
                "sha": sha,
                "url": f"{world.repository_url}/git/commits/{sha}",
                "html_url": f"{world.page_url}/commit/{sha}",
            }
            for sha in found.parents
        ],
        "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
    }


def commit(world: World, found: Commit) -> Json:
    """A commit as the rest of the API has it: with accounts where the addresses are known."""
    author, committer = (world.login_of(person.email) for person in (found.author, found.committer))
    return {
        "sha": found.sha,
        "node_id": node(found.sha),
        "url": f"{world.repository_url}/commits/{found.sha}",
        "html_url": f"{world.page_url}/commit/{found.sha}",
        "comments_url": f"{world.repository_url}/commits/{found.sha}/comments",
        "commit": {
            "url": f"{world.repository_url}/git/commits/{found.sha}",
            "author": signature(found.author),
            "committer": signature(found.committer),
            "message": found.message,
            "comment_count": 0,
            "tree": {"sha": found.tree, "url": f"{world.repository_url}/git/trees/{found.tree}"},
        },
        "author": user(author) if author else None,
        "committer": user(committer) if committer else None,
        "parents": [{"sha": sha, "url": f"{world.repository_url}/commits/{sha}"} for sha in found.parents],
    }


def file(world: World, path: str, sha: str, content: bytes) -> Json:
    """A file with its content; without it from one megabyte on."""
    small = len(content) <= 1_000_000
    return {
        "type": "file",
        "encoding": "base64" if small else "none",
        "size": len(content),
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "content": base64.encodebytes(content).decode() if small else "",
        "sha": sha,
        "url": f"{world.repository_url}/contents/{path}",
        "git_url": f"{world.repository_url}/git/blobs/{sha}",
        "html_url": f"{world.page_url}/blob/main/{path}",
        "download_url": None,
        "_links": {"self": f"{world.repository_url}/contents/{path}", "git": None, "html": None},
    }


def entry(world: World, path: str, kind: str, sha: str) -> Json:
    """A file or a folder in the list of a folder."""
    return {
        "type": kind,
        "size": len(world.git.blob(sha)) if kind == "file" else 0,
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "sha": sha,
        "url": f"{world.repository_url}/contents/{path}",
        "git_url": f"{world.repository_url}/git/{'blobs' if kind == 'file' else 'trees'}/{sha}",
        "html_url": f"{world.page_url}/blob/main/{path}",
        "download_url": None,
        "_links": {"self": f"{world.repository_url}/contents/{path}", "git": None, "html": None},
    }


def pull(world: World, found: Pull) -> Json:
    """A pull request."""
    where = f"{world.repository_url}/pulls/{found.number}"
    return {
        "url": where,
        "id": 100_000 + found.number,
        "node_id": node(f"pull {found.number}"),
        "html_url": f"{world.page_url}/pull/{found.number}",
        "issue_url": f"{world.repository_url}/issues/{found.number}",
        "comments_url": f"{world.repository_url}/issues/{found.number}/comments",
        "number": found.number,
        "state": "closed" if found.merged_at else "open",
        "title": found.title,
        "body": found.body,
        "user": user(found.author),
        "created_at": time_of(found.created_at),
        "updated_at": time_of(found.merged_at or found.created_at),
        "closed_at": time_of(found.merged_at) if found.merged_at else None,
        "merged_at": time_of(found.merged_at) if found.merged_at else None,
        "merge_commit_sha": found.merge_commit or None,
        "labels": [],
        "author_association": "CONTRIBUTOR",
        "head": side(world, found.head, found.head_sha),
        "base": side(world, found.base, found.base_sha),
    }


def whole_pull(world: World, found: Pull) -> Json:
    """A pull request with what only its own page tells."""
    commits = [sha for sha in world.git.history(found.head_sha) if sha not in set(world.git.history(found.base_sha))]
    return pull(world, found) | {
        "merged": found.merged_at is not None,
        "merged_by": user(found.merged_by) if found.merged_by else None,
        "mergeable": None if found.merged_at else True,
        "mergeable_state": "unknown" if found.merged_at else "clean",
        "commits": len(commits),
    }


def side(world: World, branch: str, sha: str) -> Json:
    """The head or the base of a pull request."""
    owner = world.name.split("/")[0]
    return {
        "label": f"{owner}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": user(owner),
        "repo": repository(world),
    }


def repository(world: World) -> Json:
    """The repository itself."""
    owner, name = world.name.split("/")
    return {
        "id": 700_001,
        "node_id": node(world.name),
        "name": name,
        "full_name": world.name,
        "private": True,
        "visibility": "private",
        "owner": user(owner),
        "html_url": world.page_url,
        "url": world.repository_url,
        "default_branch": "main",
        "fork": False,
    }


def comment(world: World, found: Comment) -> Json:
    """A comment on an issue or a pull request."""
    page = f"{world.page_url}/pull/{found.number}"
    bot = found.author == ACTIONS_BOT
    return {
        "id": found.id,
        "node_id": node(f"comment {found.id}"),
        "url": f"{world.repository_url}/issues/comments/{found.id}",
        "html_url": f"{page}#issuecomment-{found.id}",
        "issue_url": f"{world.repository_url}/issues/{found.number}",
        "user": user(found.author),
        "body": found.body,
        "created_at": time_of(found.created_at),
        "updated_at": time_of(found.updated_at),
        "author_association": association(world, found.author),
        "performed_via_github_app": app() if bot else None,
    }


def app() -> Json:
    """The application that a workflow's own token stands for."""
    return {
        "id": 15368,
        "slug": "github-actions",
        "name": "GitHub Actions",
        "owner": user("github"),
        "html_url": "https://github.com/apps/github-actions",
        "permissions": {},
        "events": [],
    }


def association(world: World, login: str) -> str:
    """What GitHub says of somebody who is in the organization without showing it: that they are nobody."""
    return "NONE" if login.endswith("[bot]") or login not in world.facts.people else "CONTRIBUTOR"


def reaction(found: Reaction) -> Json:
    """A reaction to a comment."""
    return {
        "id": found.id,
        "node_id": node(f"reaction {found.id}"),
        "user": user(found.author),
        "content": found.content,
        "created_at": time_of(found.created_at),
    }


def deployment(world: World, found: Deployment) -> Json:
    """A deployment; its statuses are asked for on their own."""
    where = f"{world.repository_url}/deployments/{found.id}"
    return {
        "url": where,
        "id": found.id,
        "node_id": node(f"deployment {found.id}"),
        "sha": found.sha,
        "ref": found.ref,
        "task": found.task,
        "payload": found.payload,
        "environment": found.environment,
        "original_environment": found.environment,
        "description": found.description or None,
        "creator": user(found.creator),
        "created_at": time_of(found.created_at),
        "updated_at": time_of(found.statuses[-1].created_at if found.statuses else found.created_at),
        "statuses_url": f"{where}/statuses",
        "repository_url": world.repository_url,
        "transient_environment": found.transient,
        "production_environment": found.production,
    }


def status(world: World, of: Deployment, found: Status) -> Json:
    """A status of a deployment."""
    where = f"{world.repository_url}/deployments/{of.id}"
    return {
        "url": f"{where}/statuses/{found.id}",
        "id": found.id,
        "node_id": node(f"status {found.id}"),
        "state": found.state,
        "creator": user(found.creator),
        "description": found.description,
        "environment": found.environment,
        "target_url": found.log_url,
        "log_url": found.log_url,
        "environment_url": found.environment_url,
        "created_at": time_of(found.created_at),
        "updated_at": time_of(found.created_at),
        "deployment_url": where,
        "repository_url": world.repository_url,
    }


def run(world: World, found: Run) -> Json:
    """A run of a workflow."""
    return {
        "id": found.id,
        "node_id": node(f"run {found.id}"),
        "name": found.workflow,
        "display_title": found.workflow,
        "head_branch": found.ref,
        "head_sha": found.sha,
        "path": f".github/workflows/{found.workflow}",
        "run_number": 1,
        "run_attempt": 1,
        "event": found.event,
        "status": found.status,
        "conclusion": found.conclusion,
        "url": f"{world.repository_url}/actions/runs/{found.id}",
        "html_url": f"{world.page_url}/actions/runs/{found.id}",
        "created_at": time_of(found.created_at),
        "updated_at": time_of(found.created_at),
        "pull_requests": [],
        "repository": repository(world),
        "head_repository": repository(world),
    }


def node(name: str) -> str:
    """GitHub's other name of a thing."""
    return base64.b64encode(name.encode()).decode()
