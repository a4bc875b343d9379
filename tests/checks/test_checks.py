"""Checks run for real, against both versions, and a failing one is a result."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from rollout.checks import OUTPUT_KEPT, Check, run_checks
from rollout.core.events import CheckResult
from rollout.demo.processes import wait_until
from tests.serving import Quiet, serving

PYTHON = sys.executable


class _Answers(Quiet, BaseHTTPRequestHandler):
    """A service with a path for every way to answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path:
            case "/ok":
                self._answer(200, b"<html>hello</html>")
            case "/gone":
                self._answer(503, b"the database is away")
            case "/moved":
                self._answer(302, b"", location="/ok")
            case "/bytes":
                self._answer(200, b"\xff\xfe" + b"x" * 3 * OUTPUT_KEPT)
            case "/slow":
                time.sleep(0.3)
                self._answer(200, b"late")
            case "/drip":
                self.send_response(200)
                self.send_header("Content-Length", "100000")
                self.end_headers()
                for _ in range(50):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.1)
            case "/cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"short")
                self.close_connection = True
            case _:
                self._answer(404, b"")

    do_POST = do_GET  # noqa: N815  (the name the base class looks for)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True


@pytest.fixture
def service() -> Iterator[str]:
    with serving(_Answers) as port:
        yield f"http://127.0.0.1:{port}"


def nobody() -> str:
    """An address where nothing listens."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def one(check: Mapping[str, object], url: str, env: Mapping[str, str] | None = None) -> CheckResult:
    (result,) = run_checks(
        (Check.model_validate(check),), canary_url=url, stable_url=None, env=env if env is not None else os.environ
    )
    return result


def test_every_check_runs_against_both_versions_even_when_one_fails(service: str) -> None:
    """The order is that of the file, canary first."""
    checks = (
        Check.model_validate({"http": {"path": "/ok"}}),
        Check.model_validate({"name": "exit", "command": [PYTHON, "-c", "raise SystemExit(3)"]}),
        Check.model_validate({"http": {"path": "/gone"}, "against": "canary"}),
    )
    results = run_checks(checks, canary_url=nobody(), stable_url=service, env=os.environ)
    assert [(one.name, one.version, one.passed) for one in results] == [
        ("GET /ok", "canary", False),
        ("GET /ok", "stable", True),
        ("exit", "canary", False),
        ("exit", "stable", False),
        ("GET /gone", "canary", False),
    ]
    assert results[0].detail == "no answer: connection refused"
    assert results[2].detail == "exit code 3"


def test_without_a_stable_release_only_the_canary_is_checked(service: str) -> None:
    """The first release of a service has nobody to compare with."""
    results = run_checks(
        (Check.model_validate({"http": {"path": "/ok"}}),), canary_url=service, stable_url=None, env={}
    )
    assert [one.version for one in results] == ["canary"]


@pytest.mark.parametrize(
    ("http", "passed", "detail"),
    [
        ({"path": "/ok"}, True, "got 200"),
        ({"path": "/ok", "method": "POST"}, True, "got 200"),
        ({"path": "/ok", "status": "2xx"}, True, "got 200"),
        ({"path": "/ok", "status": [204, "2xx"]}, True, "got 200"),
        ({"path": "/ok", "status": 204}, False, "expected status 204; got 200"),
        ({"path": "/gone"}, False, "expected status 200; got 503"),
        ({"path": "/moved", "status": "3xx"}, True, "got 302"),
        ({"path": "/ok", "body": {"contains": "hello"}}, True, "got 200"),
        ({"path": "/ok", "body": {"matches": "<h[a-z]+>"}}, True, "got 200"),
        ({"path": "/ok", "body": {"contains": "bye"}}, False, "expected the answer to contain 'bye'"),
        ({"path": "/ok", "body": {"matches": "^hello"}}, False, "expected the answer to match '^hello'"),
        ({"path": "/slow", "max_latency": "100ms"}, False, "expected an answer within 0.1 s"),
        ({"path": "/slow", "max_latency": "10s"}, True, "got 200"),
        ({"path": "/cut"}, False, "no answer: "),
    ],
)
def test_a_request_is_judged_by_status_body_and_latency(
    service: str, http: Mapping[str, object], passed: bool, detail: str
) -> None:
    """The detail says what was expected and what came."""
    result = one({"http": http}, service)
    assert (result.passed, detail in result.detail) == (passed, True), result


@pytest.mark.parametrize("path", ["/slow", "/drip"])
def test_a_request_that_does_not_end_in_time_has_failed(service: str, path: str) -> None:
    """Neither silence nor an answer in drops keeps the rollout waiting."""
    started = time.monotonic()
    result = one({"http": {"path": path}, "timeout": "150ms"}, service)
    assert (result.passed, result.detail) == (False, "no complete answer within 0.15 s")
    assert time.monotonic() - started < 2


def test_the_answer_is_kept_in_part_and_as_text(service: str) -> None:
    """What cannot be decoded is replaced."""
    result = one({"http": {"path": "/bytes"}}, service)
    assert result.output.startswith("\ufffd\ufffdxxx")
    assert len(result.output) == OUTPUT_KEPT


def test_no_proxy_and_no_netrc_stands_between_the_check_and_the_version(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The versions listen on this machine; a proxy for the outside would be asked for its own loopback."""
    monkeypatch.setenv("HTTP_PROXY", nobody())
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert one({"http": {"path": "/ok"}}, service).passed


def test_a_program_knows_what_it_checks_and_its_output_is_kept() -> None:
    """Both streams are kept, in their order."""
    code = "import os, sys; print(os.environ['ROLLOUT_URL'], flush=True); sys.exit(os.environ['ROLLOUT_VERSION'])"
    result = one({"command": [PYTHON, "-c", code]}, "http://127.0.0.1:1/")
    assert result.output == "http://127.0.0.1:1\ncanary\n"
    assert (result.passed, result.detail) == (False, "exit code 1")


def test_a_program_gets_the_environment_it_is_given_and_no_shell(tmp_path: Path) -> None:
    """An argument is an argument, whatever it holds."""
    marker = tmp_path / "made"
    code = "import os, sys; print(sys.argv[1], sorted(k for k in os.environ if k.startswith(('A', 'HOME'))))"
    result = one({"command": [PYTHON, "-c", code, f"; touch {marker}"]}, "http://x", env={"A": "1"})
    assert result.output == f"; touch {marker} ['A']\n"
    assert result.passed
    assert not marker.exists()


def test_a_program_that_is_not_there_or_dies_is_a_failed_check() -> None:
    """Neither is an exception."""
    assert (
        one({"command": ["/nowhere/x"]}, "http://x").detail == "'/nowhere/x' cannot be run: no such file or directory"
    )
    assert one({"command": ["/etc/passwd"]}, "http://x").detail.endswith("permission denied")
    killed = one({"command": [PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"]}, "http://x")
    assert (killed.passed, killed.detail) == (False, "ended by signal 9")


@pytest.mark.parametrize(
    "code",
    [
        "import time; print('begun', flush=True); time.sleep(60)",
        "import os, time; print('begun', flush=True); os.close(1); os.close(2); time.sleep(60)",
        "while True: print('begun' * 100)",
    ],
)
def test_a_program_that_does_not_end_is_stopped(code: str) -> None:
    """Silent, with its output closed, or printing without end: it gets its time and no more."""
    started = time.monotonic()
    result = one({"command": [PYTHON, "-c", code], "timeout": "700ms"}, "http://x")
    assert (result.passed, result.detail) == (False, "did not end within 0.7 s")
    assert time.monotonic() - started < 5
    assert len(result.output) <= OUTPUT_KEPT


def test_what_a_program_left_behind_is_stopped_with_it(tmp_path: Path) -> None:
    """A child that holds the output open neither delays the check nor outlives it."""
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid)"
    started = time.monotonic()
    result = one({"command": [PYTHON, "-c", code]}, "http://x")
    assert result.passed
    assert time.monotonic() - started < 30, "it waited for the child"
    state = Path(f"/proc/{result.output.strip()}/stat")
    wait_until(lambda: not state.exists() or state.read_text().split()[2] in "ZX", deadline_s=10, what="it ends")


def test_secrets_of_the_environment_are_masked_in_what_is_kept() -> None:
    """A program that prints its environment tells the journal nothing."""
    env = {**os.environ, "API_TOKEN": "s3cr3t-value", "SLACK_WEBHOOK": "https://hooks/abc", "COLOUR": "turquoise"}
    code = "import os; print(os.environ['API_TOKEN'], os.environ['SLACK_WEBHOOK'], os.environ['COLOUR'])"
    assert one({"command": [PYTHON, "-c", code]}, "http://x", env=env).output == "*** *** turquoise\n"
    cut = f"import os; print('x' * {OUTPUT_KEPT - 6} + os.environ['API_TOKEN'])"
    assert "s3cr" not in one({"command": [PYTHON, "-c", cut]}, "http://x", env=env).output
