"""Pull requests, what is said under them, and what people show under that."""

from __future__ import annotations

from tests.github import shapes
from tests.github.wire import NOT_FOUND, Call, Refusal, Reply, Route, page, route
from tests.github.world import Comment, Pull, Reaction, World

LONGEST = 65_536
"""Characters of a comment."""
REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")


def list_pulls(world: World, call: Call) -> Reply:
    """GET pulls: open ones unless `state` says otherwise; the newest first."""
    state = call.query.get("state", "open")
    head, base = call.query.get("head", "").split(":")[-1], call.query.get("base")
    found = [
        pull
        for pull in sorted(world.facts.pulls.values(), key=lambda pull: -pull.number)
        if state in ("all", "closed" if pull.merged_at else "open")
        and head in ("", pull.head)
        and base in (None, pull.base)
    ]
    return page(call, [shapes.pull(world, pull) for pull in found])


def get_pull(world: World, call: Call) -> Reply:
    """GET pulls/{pull_number}."""
    return Reply(body=shapes.whole_pull(world, _pull(world, call.parts["pull_number"])))


def get_issue(world: World, call: Call) -> Reply:
    """GET issues/{issue_number}: a pull request is one, and says so."""
    found = shapes.pull(world, _pull(world, call.parts["issue_number"]))
    kept = ("id", "node_id", "number", "state", "title", "body", "user", "created_at", "updated_at", "closed_at")
    where = {"url": found["issue_url"], "html_url": found["html_url"], "comments_url": found["comments_url"]}
    link = {"url": found["url"], "html_url": found["html_url"], "merged_at": found["merged_at"]}
    return Reply(body={name: found[name] for name in kept} | where | {"labels": [], "pull_request": link})


def _pull(world: World, number: str) -> Pull:
    found = world.facts.pulls.get(int(number)) if number.isdigit() else None
    if found is None:
        raise Refusal(404, NOT_FOUND)
    return found


def list_comments(world: World, call: Call) -> Reply:
    """GET issues/{issue_number}/comments: the oldest first; those changed at or after `since`."""
    number = _pull(world, call.parts["issue_number"]).number
    since = call.query.get("since", "")
    found = [shapes.comment(world, one) for one in world.facts.comments.values() if one.number == number]
    return page(call, [one for one in found if one["updated_at"] >= since])


def list_all_comments(world: World, call: Call) -> Reply:
    """GET issues/comments: of every thread."""
    backwards = call.query.get("direction") == "desc"
    found = sorted(world.facts.comments.values(), key=lambda one: one.id, reverse=backwards)
    since = call.query.get("since", "")
    told = [shapes.comment(world, one) for one in found]
    return page(call, [one for one in told if one["updated_at"] >= since])


def create_comment(world: World, call: Call) -> Reply:
    """POST issues/{issue_number}/comments."""
    number = _pull(world, call.parts["issue_number"]).number
    comment = say(world, number, call.who, call.body["body"])
    return Reply(status=201, body=shapes.comment(world, comment))


def say(world: World, number: int, login: str, body: str) -> Comment:
    """Somebody comments. Raises Refusal for what GitHub would not take."""
    now = world.clock()
    comment = Comment(id=next(world.ids), number=number, author=login, body=_fit(body), created_at=now, updated_at=now)
    world.facts.comments[comment.id] = comment
    return comment


def _fit(body: str) -> str:
    if not body.strip():
        raise Refusal(422, "Validation Failed", errors=[_wrong("body can't be blank")])
    if len(body) > LONGEST:
        raise Refusal(422, "Validation Failed", errors=[_wrong(f"body is too long (maximum is {LONGEST} characters)")])
    return body


def _wrong(message: str) -> dict[str, str]:
    return {"resource": "IssueComment", "code": "unprocessable", "field": "data", "message": message}


def get_comment(world: World, call: Call) -> Reply:
    """GET issues/comments/{comment_id}."""
    return Reply(body=shapes.comment(world, _comment(world, call)))


def edit_comment(world: World, call: Call) -> Reply:
    """PATCH issues/comments/{comment_id}."""
    comment = _comment(world, call)
    comment.body, comment.updated_at = _fit(call.body["body"]), world.clock()
    return Reply(body=shapes.comment(world, comment))


def delete_comment(world: World, call: Call) -> Reply:
    """DELETE issues/comments/{comment_id}."""
    del world.facts.comments[_comment(world, call).id]
    return Reply(status=204)


def _comment(world: World, call: Call) -> Comment:
    name = call.parts["comment_id"]
    found = world.facts.comments.get(int(name)) if name.isdigit() else None
    if found is None:
        raise Refusal(404, NOT_FOUND)
    return found


def list_reactions(world: World, call: Call) -> Reply:
    """GET issues/comments/{comment_id}/reactions."""
    comment, wanted = _comment(world, call), call.query.get("content")
    found = [one for one in world.facts.reactions.values() if one.comment == comment.id]
    return page(call, [shapes.reaction(one) for one in found if wanted in (None, one.content)])


def react(world: World, call: Call) -> Reply:
    """POST issues/comments/{comment_id}/reactions: 201, or 200 where it was there already."""
    comment, content = _comment(world, call), call.body["content"]
    if content not in REACTIONS:
        raise Refusal(422, "Validation Failed", errors=[{"resource": "Reaction", "code": "invalid"}])
    for one in world.facts.reactions.values():
        if (one.comment, one.author, one.content) == (comment.id, call.who, content):
            return Reply(status=200, body=shapes.reaction(one))
    made = Reaction(id=next(world.ids), comment=comment.id, author=call.who, content=content, created_at=world.clock())
    world.facts.reactions[made.id] = made
    return Reply(status=201, body=shapes.reaction(made))


def unreact(world: World, call: Call) -> Reply:
    """DELETE issues/comments/{comment_id}/reactions/{reaction_id}."""
    found = world.facts.reactions.pop(int(call.parts["reaction_id"]), None)
    if found is None:
        raise Refusal(404, NOT_FOUND)
    return Reply(status=204)


_READ = ("issues:read", "pull-requests:read")
_WRITE = ("issues:write", "pull-requests:write")
_COMMENT = "issues/comments/{comment_id}"

ROUTES: tuple[Route, ...] = (
    route("GET", "pulls", list_pulls, "pull-requests:read"),
    route("GET", "pulls/{pull_number}", get_pull, "pull-requests:read"),
    route("GET", "issues/comments", list_all_comments, *_READ),
    route("GET", _COMMENT, get_comment, *_READ),
    route("PATCH", _COMMENT, edit_comment, *_WRITE),
    route("DELETE", _COMMENT, delete_comment, *_WRITE),
    route("GET", f"{_COMMENT}/reactions", list_reactions, *_READ),
    route("POST", f"{_COMMENT}/reactions", react, *_WRITE),
    route("DELETE", f"{_COMMENT}/reactions/{{reaction_id}}", unreact, *_WRITE),
    route("GET", "issues/{issue_number}", get_issue, *_READ),
    route("GET", "issues/{issue_number}/comments", list_comments, *_READ),
    route("POST", "issues/{issue_number}/comments", create_comment, *_WRITE),
)
