"""The load generator keeps users apart, counts what it saw, and stays on this machine."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rollout.demo.load import loopback_url, send_load
from rollout.demo.parts import free_port, nginx

Chat = Callable[..., AbstractContextManager[str]]

STICKY = """
split_clients $cookie_uid $release {{ 50% canary; * stable; }}
map $cookie_uid $fresh {{ "" "uid=$request_id; Path=/"; default ""; }}
server {{
    listen 127.0.0.1:{port};
    add_header Set-Cookie $fresh;
    location / {{ add_header Set-Cookie $fresh; add_header X-Release $release; return 200 "$release"; }}
}}
"""


def report(url: str, *, rps: float, users: int, seconds: float) -> dict[str, object]:
    content = send_load(urlsplit(url), rps=rps, users=users, seconds=seconds, stop=threading.Event())
    decoded: dict[str, object] = json.loads(content)
    return decoded


def test_the_rate_is_about_what_was_asked_and_every_answer_is_counted(chat: Chat) -> None:
    """100 a second for a second, by one release: nearly 100 answers, all of them its own."""
    with chat(RELEASE="v1") as url:
        seen = report(url, rps=100, users=20, seconds=1)
    assert isinstance(seen["sent"], int)
    assert 50 <= seen["sent"] <= 130
    assert seen["releases"] == {"v1": seen["sent"]}
    assert seen["statuses"] == {"200": seen["sent"]}
    assert seen["unanswered"] == seen["changes"] == 0


def test_failures_are_counted_for_the_release_that_failed(chat: Chat) -> None:
    """A service that always fails shows it under its own name."""
    with chat(RELEASE="bad", FAIL_HTTP="1") as url:
        seen = report(url, rps=50, users=5, seconds=0.5)
    assert seen["failures"] == {"bad": seen["sent"]}


def test_nobody_listening_is_counted_and_does_not_stop_the_others() -> None:
    """A refused connection is a request without an answer, not a crash."""
    seen = report(f"http://127.0.0.1:{free_port()}", rps=50, users=5, seconds=0.3)
    assert seen["unanswered"] == seen["sent"] != 0


@pytest.mark.real
def test_users_keep_the_cookie_that_the_gateway_gave_them(tmp_path: Path, needs: Callable[..., None]) -> None:
    """Behind a gateway that splits by cookie, each user changes once at most: from no cookie to their own."""
    needs("nginx")
    port = free_port()
    conf = tmp_path / "sticky.conf"
    conf.write_text(STICKY.format(port=port))
    with nginx(tmp_path / "nginx", port=port, include=conf, njs=False):
        seen = report(f"http://127.0.0.1:{port}", rps=200, users=30, seconds=2)
    assert isinstance(seen["changes"], int)
    assert isinstance(seen["users"], dict)
    assert set(seen["users"]) == {"canary", "stable"}
    assert seen["changes"] <= 30


@pytest.mark.parametrize("url", ["http://example.com", "http://10.0.0.1", "https://127.0.0.1", "127.0.0.1:80", ""])
def test_it_refuses_to_send_anywhere_else(url: str) -> None:
    """The demo puts load on this machine and on no other."""
    with pytest.raises(argparse.ArgumentTypeError, match="of this machine"):
        loopback_url(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80"])
def test_this_machine_is_fine(url: str) -> None:
    """Every name of the loopback interface is accepted."""
    assert loopback_url(url).geturl() == url
