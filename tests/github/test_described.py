"""GitHub's own description is held against the double and against who talks to it, and a difference fails the test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from rollout.errors import GitHubUnavailable
from rollout.github.api import Repository
from tests.github import answers_work, described, server
from tests.github.clock import Clock
from tests.github.server import ROUTES, GitHubServer
from tests.github.wire import Reply


def ask(folder: Path, clock: Clock, verb: str, path: str, body: object = None) -> None:
    """One request, which is no success, to a GitHub that begins and ends with it."""
    with GitHubServer(folder, clock=clock) as github:
        token = SecretStr(github.token)
        client = Repository(github.repository, token=token, url=github.url, clock=clock, sleep=clock.sleep)
        with pytest.raises(GitHubUnavailable):
            client.send(verb, path, body)


@pytest.mark.skipif(described.installed() is None, reason="scripts/npm-packages installs GitHub's description")
class TestDescription:
    """Against the real description."""

    def test_every_operation_of_the_double_is_one_of_github(self) -> None:
        known = described.installed()
        assert known is not None
        assert [one for one in ROUTES if not known.knows(one)] == []

    @pytest.mark.parametrize(
        ("verb", "path", "body", "says"),
        [
            ("POST", "git/refs", {"reff": "refs/heads/x", "sha": "1"}, "'ref' is a required property"),
            ("POST", "git/refs", {"ref": "refs/heads/x", "sha": "1", "force": True}, "'force'"),
            ("PATCH", "git/ref/heads/main", {"sha": "1"}, "no such operation"),
            ("POST", "git/trees", {"tree": [{"path": "x", "contents": "y"}]}, "'contents'"),
            ("GET", "commits?tag=v1", None, "'tag'"),
            ("GET", "pulls?state=merged", None, "merged"),
        ],
    )
    def test_a_request_that_github_does_not_know_fails_the_test(
        self, tmp_path: Path, clock: Clock, verb: str, path: str, body: object, says: str
    ) -> None:
        with pytest.raises(AssertionError, match=says):
            ask(tmp_path, clock, verb, path, body)

    def test_an_answer_that_github_would_not_give_fails_the_test(self) -> None:
        known = described.installed()
        assert known is not None
        route = next(one for one in ROUTES if one.answers is answers_work.permission)
        told = {"permission": "write", "role_name": "write", "user": {"login": "ada", "id": 1}}
        whole, wrong = known.of_reply(route, Reply(body=told))
        assert wrong == []
        assert whole.body["user"]["type"] == ""
        for broken, says in (
            ({**told, "permissions": "write"}, "'permissions'"),
            ({**told, "permission": 3}, "not of type 'string'"),
            ({**told, "user": {"login": 7}}, "not of type"),
        ):
            assert says in known.of_reply(route, replace(whole, body=broken))[1][0]

    def test_every_event_is_one_of_github(self, github: GitHubServer) -> None:
        number = github.open_pull("Answer faster")
        github.tag("v1", github.merge_pull(number))
        github.tag("v2", annotated=True)
        comment = github.comment(number, "ada", "/rollout status")
        github.comment(number, "ada", "/rollout status", on_pull=False)
        for tag in ("v1", "v2"):
            github.push_tag_event(tag)
        github.release_event("v1")
        github.dispatch_event({"tag": "v1"})
        assert github.violations == []
        known = described.installed()
        assert known is not None
        assert "'pull'" in known.of_event("issue-comment-created", {**comment, "pull": 1})[1][0]
        assert "not of type" in known.of_event("issue-comment-created", {**comment, "comment": {"id": "x"}})[1][0]


def test_a_mistake_of_the_double_fails_the_test(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(ROUTES[0], answers=lambda world, call: Reply(body=world.facts.pulls[99]))
    monkeypatch.setattr(server, "ROUTES", (broken, *ROUTES[1:]))
    with pytest.raises(AssertionError, match="KeyError: 99"):
        ask(tmp_path, clock, "GET", "git/ref/heads/main")
