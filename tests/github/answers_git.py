"""Git by GitHub's API: refs, trees, commits, blobs and tags, each with GitHub's own way to refuse."""

from __future__ import annotations

import base64
import posixpath

from tests.github import shapes
from tests.github.bare import FILE, FOLDER, NoObject, Person, RefRefused
from tests.github.wire import NOT_FOUND, Call, Json, Refusal, Reply, Route, page, route
from tests.github.world import World

READ, WRITE = "contents:read", "contents:write"
NOT_A_FAST_FORWARD = "Update is not a fast forward"
ALREADY = "Reference already exists"


def get_ref(world: World, call: Call) -> Reply:
    """GET git/ref/{ref}."""
    name = f"refs/{call.parts['ref']}"
    sha = world.ref(name)
    if sha is None:
        raise Refusal(404, NOT_FOUND)
    return Reply(body=shapes.ref(world, name, sha))


def matching_refs(world: World, call: Call) -> Reply:
    """GET git/matching-refs/{ref}: every ref that begins with these words."""
    found = world.git.refs(f"refs/{call.parts['ref']}")
    return Reply(body=[shapes.ref(world, name, sha) for name, sha in sorted(found.items())])


def create_ref(world: World, call: Call) -> Reply:
    """POST git/refs: there is one winner."""
    name, sha = call.body["ref"], call.body["sha"]
    if not name.startswith("refs/") or name.count("/") < 2:
        raise Refusal(422, "Reference name must start with 'refs' and have at least two slashes")
    if not world.git.kind(sha):
        raise Refusal(422, "Object does not exist")
    if world.git.ref(name) is not None:
        raise Refusal(422, ALREADY)
    try:
        world.move(name, sha, before=None)
    except RefRefused as refused:
        raise Refusal(422, f"Reference update failed: {refused}") from None
    return Reply(status=201, body=shapes.ref(world, name, sha))


def update_ref(world: World, call: Call) -> Reply:
    """PATCH git/refs/{ref}: only a fast-forward, unless it is forced."""
    name, sha = f"refs/{call.parts['ref']}", call.body["sha"]
    before = world.git.ref(name)
    if before is None:
        raise Refusal(422, "Reference does not exist")
    if not world.git.kind(sha):
        raise Refusal(422, "Object does not exist")
    if not call.body.get("force", False) and not world.git.contains(sha, before):
        raise Refusal(422, NOT_A_FAST_FORWARD)
    world.move(name, sha, before=before)
    return Reply(body=shapes.ref(world, name, sha))


def delete_ref(world: World, call: Call) -> Reply:
    """DELETE git/refs/{ref}."""
    name = f"refs/{call.parts['ref']}"
    if world.git.ref(name) is None:
        raise Refusal(422, "Reference does not exist")
    world.drop(name)
    return Reply(status=204)


def create_tree(world: World, call: Call) -> Reply:
    """POST git/trees: the files given, over those of the tree they are based on."""
    given, base = call.body["tree"], call.body.get("base_tree")
    if not given and not base:
        raise Refusal(422, "Invalid tree info")
    files: dict[str, tuple[str, str]] = {}
    if base:
        try:
            files = world.git.files(_tree_of(world, base))
        except NoObject:
            raise Refusal(422, "base_tree is not a valid tree oid") from None
    for one in given:
        _lay(world, files, one)
    return Reply(status=201, body=_tree(world, world.git.write_tree(files), recursive=False))


def _lay(world: World, files: dict[str, tuple[str, str]], one: Json) -> None:
    path = one["path"]
    if path.startswith("/") or path != posixpath.normpath(path) or ".git" in path.split("/"):
        raise Refusal(422, "tree.path contains a malformed path component")
    if ("sha" in one) == ("content" in one):
        raise Refusal(422, "Must supply either tree.sha or tree.content, not both")
    for known in [known for known in files if known == path or known.startswith(f"{path}/")]:
        del files[known]
    mode, sha = one.get("mode", FILE), one.get("sha")
    if "content" in one:
        files[path] = (mode, world.git.write("blob", one["content"].encode()))
    elif sha is not None and world.git.kind(sha) == "tree":
        files.update(world.git.files(sha, f"{path}/"))
    elif sha is not None and world.git.kind(sha) == "blob":
        files[path] = (mode, sha)
    elif sha is not None:
        raise Refusal(422, f"tree.sha {sha} is not a valid blob")


def get_tree(world: World, call: Call) -> Reply:
    """GET git/trees/{tree_sha}; with `recursive`, everything below."""
    try:
        sha = _tree_of(world, call.parts["tree_sha"])
    except NoObject:
        raise Refusal(404, NOT_FOUND) from None
    return Reply(body=_tree(world, sha, recursive="recursive" in call.query))


def _tree_of(world: World, name: str) -> str:
    if world.git.kind(name) == "tree":
        return name
    return world.git.commit(name).tree


def _tree(world: World, sha: str, *, recursive: bool) -> Json:
    entries = world.git.files(sha) if recursive else world.git.entries(sha)
    return {
        "sha": sha,
        "url": f"{world.repository_url}/git/trees/{sha}",
        "truncated": False,
        "tree": [_entry(world, path, mode, name) for path, (mode, name) in entries.items()],
    }


def _entry(world: World, path: str, mode: str, sha: str) -> Json:
    kind = "tree" if mode == FOLDER else "blob"
    found = {"path": path, "mode": mode.zfill(6), "type": kind, "sha": sha}
    found["url"] = f"{world.repository_url}/git/{kind}s/{sha}"
    return found | ({"size": len(world.git.blob(sha))} if kind == "blob" else {})


def create_blob(world: World, call: Call) -> Reply:
    """POST git/blobs."""
    content = call.body["content"]
    plain = base64.b64decode(content) if call.body.get("encoding") == "base64" else content.encode()
    sha = world.git.write("blob", plain)
    return Reply(status=201, body={"sha": sha, "url": f"{world.repository_url}/git/blobs/{sha}"})


def get_blob(world: World, call: Call) -> Reply:
    """GET git/blobs/{file_sha}."""
    sha = call.parts["file_sha"]
    try:
        content = world.git.blob(sha)
    except NoObject:
        raise Refusal(404, NOT_FOUND) from None
    if call.raw:
        return Reply(raw=content, content_type="application/vnd.github.raw+json; charset=utf-8")
    body = {
        "sha": sha,
        "node_id": shapes.node(sha),
        "size": len(content),
        "url": f"{world.repository_url}/git/blobs/{sha}",
        "content": base64.encodebytes(content).decode(),
        "encoding": "base64",
    }
    return Reply(body=body)


def create_commit(world: World, call: Call) -> Reply:
    """POST git/commits; by who sends it, now, where nothing else is said."""
    tree, parents = call.body["tree"], tuple(call.body.get("parents") or ())
    if world.git.kind(tree) != "tree":
        raise Refusal(422, "Tree SHA does not exist")
    if any(world.git.kind(parent) != "commit" for parent in parents):
        raise Refusal(422, "Parent SHA does not exist or is not a commit object")
    author = _signed(world, call, "author")
    committer = _signed(world, call, "committer") if "committer" in call.body else author
    sha = world.git.write_commit(tree, parents, call.body["message"], author=author, committer=committer)
    return Reply(status=201, body=shapes.git_commit(world, world.git.commit(sha)))


def _signed(world: World, call: Call, role: str) -> Person:
    given = call.body.get(role)
    if not given:
        return world.person(call.who)
    return Person(name=given["name"], email=given["email"], at=world.when(given.get("date")))


def get_commit(world: World, call: Call) -> Reply:
    """GET git/commits/{commit_sha}."""
    if world.git.kind(call.parts["commit_sha"]) != "commit":
        raise Refusal(404, NOT_FOUND)
    return Reply(body=shapes.git_commit(world, world.git.commit(call.parts["commit_sha"])))


def create_tag(world: World, call: Call) -> Reply:
    """POST git/tags: the object of an annotated tag; the ref to it is another request."""
    if world.git.kind(call.body["object"]) != call.body["type"]:
        raise Refusal(422, "Could not verify object")
    sha = world.git.write_tag(
        call.body["tag"], call.body["object"], call.body["message"], _signed(world, call, "tagger")
    )
    return Reply(status=201, body=shapes.tag(world, world.git.tag(sha)))


def get_tag(world: World, call: Call) -> Reply:
    """GET git/tags/{tag_sha}: of an annotated tag only."""
    try:
        return Reply(body=shapes.tag(world, world.git.tag(call.parts["tag_sha"])))
    except NoObject:
        raise Refusal(404, NOT_FOUND) from None


def list_tags(world: World, call: Call) -> Reply:
    """GET tags: by name, the last one first, each with the commit that it leads to."""
    found = []
    for name, sha in sorted(world.git.refs("refs/tags/").items(), reverse=True):
        commit = world.git.commit(sha).sha
        found.append(
            {
                "name": name.removeprefix("refs/tags/"),
                "node_id": shapes.node(name),
                "commit": {"sha": commit, "url": f"{world.repository_url}/commits/{commit}"},
            }
        )
    return page(call, found)


ROUTES: tuple[Route, ...] = (
    route("GET", "git/ref/{ref}", get_ref, READ),
    route("GET", "git/matching-refs/{ref}", matching_refs, READ),
    route("POST", "git/refs", create_ref, WRITE),
    route("PATCH", "git/refs/{ref}", update_ref, WRITE),
    route("DELETE", "git/refs/{ref}", delete_ref, WRITE),
    route("POST", "git/trees", create_tree, WRITE),
    route("GET", "git/trees/{tree_sha}", get_tree, READ),
    route("POST", "git/blobs", create_blob, WRITE),
    route("GET", "git/blobs/{file_sha}", get_blob, READ),
    route("POST", "git/commits", create_commit, WRITE),
    route("GET", "git/commits/{commit_sha}", get_commit, READ),
    route("POST", "git/tags", create_tag, WRITE),
    route("GET", "git/tags/{tag_sha}", get_tag, READ),
    route("GET", "tags", list_tags, READ),
)
