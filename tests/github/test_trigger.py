"""Every event of a workflow starts a rollout, is a tick, brings a comment, or asks for nothing and says why."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.errors import ConfigurationError
from rollout.github.trigger import CommentGiven, Nothing, Start, Tick, Trigger, trigger_of
from tests.github.server import GitHubServer

SHA = "ffac537e6cbbf934b08745a378932722df287a53"
ANN = {"login": "ann", "type": "User"}


def env(name: str, ref: str = "refs/heads/main") -> dict[str, str]:
    """What a runner sets, as far as it is read."""
    return {"GITHUB_EVENT_NAME": name, "GITHUB_REF": ref, "GITHUB_ACTOR": "bob"}


def commented(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of an event
    """A new comment on a pull request."""
    comment = {"id": 99, "body": "/rollout abort", "created_at": "2026-11-22T14:00:00+02:00", "user": ANN}
    issue = {"number": 12, "user": {"login": "cid", "type": "User"}, "pull_request": {"url": "https://x"}}
    return {"action": "created", "issue": issue, "comment": comment} | changes


def test_the_push_of_a_tag_starts_a_rollout() -> None:
    """The commit is the tag's, also where the tag is annotated and `after` names its own object."""
    event = {"after": "0" * 40, "deleted": False, "head_commit": {"id": SHA}, "sender": ANN}
    assert trigger_of(env("push", "refs/tags/v1.4.0"), event) == Start(tag="v1.4.0", commit=SHA, by="ann")


def test_a_push_without_a_commit_leaves_it_open() -> None:
    """Who acted is the run's actor where the event names nobody."""
    start = trigger_of(env("push", "refs/tags/v1"), {"head_commit": None})
    assert start == Start(tag="v1", commit="", by="bob")


@pytest.mark.parametrize(
    ("ref", "event", "why"),
    [
        ("refs/heads/main", {}, "no tag"),
        ("refs/tags/v1", {"deleted": True}, "deleted"),
        ("", {}, "no tag"),
    ],
)
def test_other_pushes_ask_for_nothing(ref: str, event: dict[str, Any], why: str) -> None:
    """A branch, or a tag that goes."""
    answer = trigger_of(env("push", ref), event)
    assert isinstance(answer, Nothing)
    assert why in answer.because


def test_a_published_release_starts_a_rollout() -> None:
    """Only when it is published: one release causes several events."""
    event = {"action": "published", "release": {"tag_name": "v1.4.0"}, "sender": ANN}
    assert trigger_of(env("release", "refs/tags/v1.4.0"), event) == Start(tag="v1.4.0", commit="", by="ann")
    for action in ("created", "released", "edited", "deleted"):
        assert isinstance(trigger_of(env("release"), event | {"action": action}), Nothing)


@pytest.mark.parametrize("tag", ["v1.4.0", " v1.4.0 ", "refs/tags/v1.4.0"])
def test_a_dispatch_with_a_tag_starts_a_rollout(tag: str) -> None:
    """As a person types it."""
    event = {"inputs": {"tag": tag, "other": True}, "sender": ANN}
    assert trigger_of(env("workflow_dispatch"), event) == Start(tag="v1.4.0", commit="", by="ann")


@pytest.mark.parametrize("inputs", [None, {}, {"tag": ""}, {"tag": None}, {"tag": "  "}])
def test_a_dispatch_without_a_tag_is_a_tick(inputs: dict[str, Any] | None) -> None:
    """That is how a rollout wakes itself."""
    assert trigger_of(env("workflow_dispatch"), {"inputs": inputs, "sender": ANN}) == Tick()


def test_the_watchdog_is_a_tick() -> None:
    """A schedule brings no more than its own line."""
    assert trigger_of(env("schedule"), {"schedule": "*/10 * * * *"}) == Tick()


def test_a_new_comment_on_a_pull_request_is_given_whole() -> None:
    """In UTC, with who wrote it and who opened the pull request."""
    assert trigger_of(env("issue_comment"), commented()) == CommentGiven(
        pull=12,
        comment_id=99,
        body="/rollout abort",
        login="ann",
        created_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        bot=False,
        author_of_pull="cid",
    )


def test_a_bot_is_known_for_one() -> None:
    """GitHub says so in the comment itself."""
    comment = commented()["comment"] | {"user": {"login": "renovate[bot]", "type": "Bot"}}
    answer = trigger_of(env("issue_comment"), commented(comment=comment))
    assert isinstance(answer, CommentGiven)
    assert answer.bot


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"action": "edited"}, "edited"),
        ({"action": "deleted"}, "deleted"),
        ({"issue": {"number": 12}}, "an issue"),
        ({"comment": commented()["comment"] | {"user": None}}, "nobody"),
    ],
)
def test_other_comments_are_left_alone(changes: dict[str, Any], why: str) -> None:
    """An edit would give an old comment the secrets of today; an issue has nothing to release."""
    answer = trigger_of(env("issue_comment"), commented(**changes))
    assert isinstance(answer, Nothing)
    assert why in answer.because


def test_a_comment_without_a_body_has_an_empty_one() -> None:
    """GitHub says null for it."""
    comment = commented()["comment"] | {"body": None}
    answer = trigger_of(env("issue_comment"), commented(comment=comment))
    assert isinstance(answer, CommentGiven)
    assert answer.body == ""


@pytest.mark.parametrize(
    "name", ["pull_request", "pull_request_target", "deployment_status", "repository_dispatch", ""]
)
def test_every_other_event_asks_for_nothing(name: str) -> None:
    """And is named in the reason."""
    answer = trigger_of(env(name), {})
    assert isinstance(answer, Nothing)
    assert (name or "GITHUB_EVENT_NAME") in answer.because


@pytest.mark.parametrize("tag", ["chat/v1", "v1+build", "-v1", "x" * 129])
def test_a_tag_that_no_image_can_have_is_an_error(tag: str) -> None:
    """It would fail later, when the image is looked for."""
    with pytest.raises(ConfigurationError, match="cannot be the tag of an image"):
        trigger_of(env("push", f"refs/tags/{tag}"), {})
    with pytest.raises(ConfigurationError, match="cannot be the tag of an image"):
        trigger_of(env("workflow_dispatch"), {"inputs": {"tag": tag}})


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("issue_comment", {"action": "created"}),
        ("issue_comment", commented(comment={"id": "many"})),
        ("issue_comment", commented(comment=commented()["comment"] | {"created_at": "2026-11-22T14:00:00"})),
        ("release", {"action": "published"}),
        ("workflow_dispatch", {"inputs": [1]}),
    ],
)
def test_an_event_that_is_not_githubs_is_an_error(name: str, event: dict[str, Any]) -> None:
    """It says what is wrong and repeats nothing of what somebody wrote."""
    with pytest.raises(ConfigurationError, match="not as GitHub writes it") as raised:
        trigger_of(env(name), event)
    assert "many" not in str(raised.value)


@pytest.mark.parametrize("annotated", [False, True])
def test_github_s_own_events_are_read(github: GitHubServer, tmp_path: Path, *, annotated: bool) -> None:
    """As its description has them, whole."""
    number = github.open_pull("Answer faster")
    sha = github.merge_pull(number)
    github.tag("v2", sha, annotated=annotated)
    opened: list[tuple[str, dict[str, Any], Trigger]] = [
        ("push", github.push_tag_event("v2"), Start(tag="v2", commit=sha, by="ada")),
        ("release", github.release_event("v2"), Start(tag="v2", commit="", by="ada")),
        ("workflow_dispatch", github.dispatch_event({"tag": "v2"}), Start(tag="v2", commit="", by="ada")),
        ("workflow_dispatch", github.dispatch_event(), Tick()),
        ("schedule", github.schedule_event(), Tick()),
    ]
    for name, event, expected in opened:
        assert trigger_of(github.variables(name, event, tmp_path), event) == expected
    event = github.comment(number, "bob", "/rollout status")
    given = trigger_of(github.variables("issue_comment", event, tmp_path), event)
    assert isinstance(given, CommentGiven)
    assert (given.pull, given.login, given.body, given.bot) == (number, "bob", "/rollout status", False)
    assert given.author_of_pull == "ada"
    event = github.comment(number, "bob", "/rollout status", on_pull=False)
    assert isinstance(trigger_of(github.variables("issue_comment", event, tmp_path), event), Nothing)
    event = github.push_tag_event("v2", deleted=True)
    assert isinstance(trigger_of(github.variables("push", event, tmp_path), event), Nothing)


@given(
    name=st.sampled_from(["push", "release", "workflow_dispatch", "issue_comment", "schedule"]),
    event=st.dictionaries(
        st.sampled_from(["action", "inputs", "issue", "comment", "release", "sender", "head_commit"]),
        st.recursive(st.none() | st.integers() | st.text(), lambda each: st.dictionaries(st.text(), each)),
    ),
)
def test_nothing_but_our_own_error_leaves(name: str, event: dict[str, Any]) -> None:
    """Whatever stands in the file."""
    try:
        answer = trigger_of(env(name, "refs/tags/v1"), event)
    except ConfigurationError:
        return
    assert isinstance(answer, Start | Tick | CommentGiven | Nothing)
