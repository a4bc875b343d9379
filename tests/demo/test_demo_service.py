"""The chat-like service answers, fails as often as it is told, counts it, and stops at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
import requests

from rollout.demo import service
from rollout.demo.parts import free_port, wait_until
from rollout.demo.processes import accepts

Chat = Callable[..., AbstractContextManager[str]]


def counters(url: str) -> dict[str, float]:
    lines = requests.get(f"{url}/metrics", timeout=5).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_a_chat_names_its_release_and_is_counted_once(chat: Chat) -> None:
    """One question is one request, one model call and one observation of the latency."""
    with chat(RELEASE="v7") as url:
        answer = requests.post(f"{url}/api/chat", json={"message": "hello"}, timeout=5)
        seen = counters(url)
    assert answer.headers["X-Release"] == "v7"
    assert "answer" in answer.json()
    assert seen['http_requests_total{code="200",route="/api/chat"}'] == 1
    assert seen['llm_requests_total{outcome="ok"}'] == 1
    labels = 'code="200",route="/api/chat"'
    assert seen[f"http_request_duration_seconds_count{{{labels}}}"] == 1
    assert seen[f'http_request_duration_seconds_bucket{{{labels},le="+Inf"}}'] == 1


def test_health_checks_and_scrapes_are_not_counted(chat: Chat) -> None:
    """What machines ask would water down the failure rate of people."""
    with chat() as url:
        for path in ("/api/health", "/metrics"):
            assert requests.get(url + path, timeout=5).status_code == 200
        assert not [name for name in counters(url) if name.startswith("http_requests_total")]


def test_failures_come_as_often_as_the_environment_says(chat: Chat) -> None:
    """400 requests at 50 % and 20 %: the counts lie within five standard deviations."""
    with chat(FAIL_HTTP="0.5", FAIL_LLM="0.2") as url, requests.Session() as session:
        statuses = [session.post(f"{url}/api/chat", timeout=5).status_code for _ in range(400)]
        seen = counters(url)
    failed = statuses.count(500)
    assert 150 <= failed <= 250
    assert seen['http_requests_total{code="500",route="/api/chat"}'] == failed
    calls = 400 - failed
    assert seen['llm_requests_total{outcome="error"}'] + seen['llm_requests_total{outcome="ok"}'] == calls
    assert 0.08 <= seen['llm_requests_total{outcome="error"}'] / calls <= 0.36


def test_buckets_are_cumulative(chat: Chat) -> None:
    """A Prometheus histogram counts each answer in every bucket above its time."""
    with chat(LATENCY_MS="8") as url:
        for _ in range(10):
            requests.get(url, timeout=5)
        seen = counters(url)
    buckets = [value for name, value in seen.items() if "_bucket" in name]
    assert buckets == sorted(buckets)
    assert buckets[0] < buckets[-1] == 10


def test_it_holds_memory_for_nothing_and_tells_how_much(chat: Chat) -> None:
    with chat() as lean, chat(BALLAST_MB="40") as heavy:
        more = counters(heavy)["process_resident_memory_bytes"] - counters(lean)["process_resident_memory_bytes"]
    assert 38 << 20 <= more <= 44 << 20


def test_it_ends_with_an_error_when_its_time_has_come() -> None:
    """As a process does that crashes some seconds after its start."""
    env = {**os.environ, "PORT": str(free_port()), "EXIT_AFTER_S": "0.2"}
    child = subprocess.run(
        [sys.executable, "-I", service.__file__], env=env, capture_output=True, timeout=20, check=False
    )
    assert (child.returncode, child.stderr) == (1, b"")


def test_a_stream_ends_with_its_end_mark(chat: Chat) -> None:
    """A client can tell a whole stream from one that was cut."""
    with chat() as url:
        answer = requests.post(
            f"{url}/api/chat?tokens=3&pause_ms=1", headers={"Accept": "text/event-stream"}, timeout=5
        )
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert [json.loads(event)["token"] for event in events[:-1]] == ["The", " release", " you"]
    assert events[-1] == "[DONE]"


@pytest.mark.parametrize(("env", "status"), [({}, 200), ({"UNHEALTHY": "1"}, 503)])
def test_the_health_check_can_be_made_red(chat: Chat, env: dict[str, str], status: int) -> None:
    """A release whose health never becomes green is one of the stories to tell."""
    with chat(**env) as url:
        assert requests.get(f"{url}/api/health", timeout=5).status_code == status


def test_an_unknown_path_and_a_broken_request_do_no_harm(chat: Chat) -> None:
    """Not found is an answer; nonsense closes the connection; the next user is served."""
    with chat() as url:
        assert requests.get(f"{url}/nothing", timeout=5).status_code == 404
        with pytest.raises(requests.ConnectionError):
            requests.post(url, headers={"Content-Length": "-5"}, timeout=5)
        assert requests.get(url, timeout=5).status_code == 200


def test_it_stops_at_once_and_says_nothing() -> None:
    """A stop signal with an idle connection and a long stream open takes little more than the grace of a second."""
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-I", service.__file__], env={**os.environ, "PORT": str(port)}, stderr=subprocess.PIPE
    )
    wait_until(lambda: accepts(port), deadline_s=10, what="the service listens")
    with requests.Session() as idle, requests.Session() as busy:
        idle.get(f"http://127.0.0.1:{port}/", timeout=5)
        streaming = {"Accept": "text/event-stream"}
        url = f"http://127.0.0.1:{port}/api/chat?tokens=10000"
        lines = busy.post(url, headers=streaming, stream=True, timeout=5).iter_lines()
        assert next(lines).startswith(b"data: ")  # `lines` is kept: without it the client closes the connection
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=10)
    assert child.returncode == 0
    assert errors == b""
    assert time.monotonic() - began < 5
