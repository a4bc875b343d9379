"""Checks before the first user: requests and programs, run against the canary and against the stable release.

They answer one question, "does it work at all, and does stable still work next to it?", and decide nothing. A check
that fails is a result and never an exception.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from rollout.core.events import CheckResult
from rollout.settings import Duration

Version = Literal["canary", "stable"]

OUTPUT_KEPT: Final = 4096
"""Bytes of an answer or of a program's output that are kept."""
_OUTPUT_READ: Final = 2 * OUTPUT_KEPT
"""More than is kept, so that no secret is cut in two before it is masked."""
BODY_READ: Final = 1024 * 1024
"""Bytes of an answer that are searched for the expected text."""

_SECRET: Final = re.compile(r"token|secret|passw|credential|webhook|api_?key|private|_key$|auth", re.IGNORECASE)


def _path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or text.startswith("//") or "#" in text:
        raise ValueError("a path starts with one / and holds no spaces, such as /api/health?deep=1")
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as wrong:
        raise ValueError(f"this is not a regular expression: {wrong}") from None
    return text


def _status(value: object) -> tuple[str, ...]:
    """Statuses as `200` or `2xx`, one or several."""
    found = tuple(str(one) for one in value) if isinstance(value, list | tuple) else (str(value),)
    if not found or not all(re.fullmatch(r"[1-5]([0-9]{2}|xx)", one) for one in found):
        raise ValueError("a status is 100 to 599, a class such as 2xx, or a list of them")
    return found


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("a program takes no NUL in its arguments")
    return text


def _duration_above_zero(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise ValueError("this must be longer than 0s")
    return duration


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BodyCheck(_Settings):
    """What the answer's text must hold; the first megabyte is searched."""

    contains: StrictStr | None = Field(default=None, min_length=1, description="Text that must be there.")
    matches: Annotated[StrictStr, AfterValidator(_pattern)] | None = Field(
        default=None, description="A regular expression (Python's) that must be found."
    )


class HttpCheck(_Settings):
    """One request to the version itself, past the gateway. Redirects are not followed."""

    path: Annotated[StrictStr, AfterValidator(_path)] = Field(
        description="What to ask for, with its query.", examples=["/api/health"]
    )
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = Field(
        default="GET", description="The method of the request; no body is sent."
    )
    status: Annotated[
        tuple[str, ...],
        PlainValidator(_status),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "integer", "minimum": 100, "maximum": 599},
                    {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
                    {"type": "array", "minItems": 1, "items": {"type": ["integer", "string"]}},
                ],
                "examples": [200, "2xx", [200, 204]],
            }
        ),
    ] = Field(default=("200",), description="The status that is expected: a number, a class such as `2xx`, or a list.")
    body: BodyCheck | None = Field(default=None, description="What the answer's text must hold.")
    max_latency: Annotated[Duration, AfterValidator(_duration_above_zero)] | None = Field(
        default=None,
        description="How long the whole answer may take, such as `1s`; left out, only `timeout` limits it.",
    )


class Check(_Settings):
    """A request or a program that must succeed at weight 0."""

    name: Annotated[StrictStr, Field(pattern=r"^\S([^\r\n\t]{0,58}\S)?$")] = Field(
        default="",
        description="What the reports call it: one line, at most 60 characters. Left out, the request or the program.",
    )
    http: HttpCheck | None = Field(default=None, description="A request.")
    command: Annotated[tuple[Annotated[StrictStr, AfterValidator(_argument)], ...] | None, Field(min_length=1)] = Field(
        default=None,
        description="A program and its arguments, run without a shell, with `ROLLOUT_URL` and `ROLLOUT_VERSION` "
        "(`canary` or `stable`) in its environment. It succeeds with exit code 0.",
        examples=[["scripts/smoke-test", "--quick"]],
    )
    timeout: Annotated[Duration, AfterValidator(_duration_above_zero)] = Field(
        default=timedelta(seconds=30), description="How long the check may take, then it has failed."
    )
    against: Annotated[tuple[Version, ...], BeforeValidator(_listed), Field(min_length=1)] = Field(
        default=("canary", "stable"), description="Which versions it runs against."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.http is None) == (self.command is None):
            raise ValueError("a check is either `http` or `command`")
        return self

    @property
    def title(self) -> str:
        """The name, or what it does where it has none."""
        if self.name:
            return self.name
        if self.http is not None:
            return f"{self.http.method} {self.http.path}"
        return " ".join(self.command or ())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What one run of a check showed."""

    passed: bool
    detail: str
    output: bytes = b""


def run_checks(
    checks: tuple[Check, ...], *, canary_url: str, stable_url: str | None, env: Mapping[str, str]
) -> tuple[CheckResult, ...]:
    """Run every check against every version it names, one after the other, whatever the others found.

    The urls are those of the versions themselves, such as `http://127.0.0.1:21001`; without a stable release its part
    is left out. `env` is the environment of the programs; values of variables that look like secrets by their names
    are masked in what is kept. A check that fails, or cannot be run, is a result; nothing is raised for it.
    """
    urls: tuple[tuple[Version, str | None], ...] = (("canary", canary_url), ("stable", stable_url))
    return tuple(_results(checks, urls=urls, env=env))


def _results(
    checks: tuple[Check, ...], *, urls: tuple[tuple[Version, str | None], ...], env: Mapping[str, str]
) -> Iterator[CheckResult]:
    for check in checks:
        for version, url in urls:
            if url is None or version not in check.against:
                continue
            found = _run(check, version=version, url=url.rstrip("/"), env=env)
            yield CheckResult(
                name=check.title,
                version=version,
                passed=found.passed,
                detail=_masked(found.detail, env),
                output=_masked(found.output.decode(errors="replace"), env)[:OUTPUT_KEPT],
            )


def _run(check: Check, *, version: Version, url: str, env: Mapping[str, str]) -> _Found:
    if check.http is not None:
        return _ask(check.http, url=url, timeout=check.timeout)
    more = {"ROLLOUT_URL": url, "ROLLOUT_VERSION": version}
    return _execute(check.command or (), env={**env, **more}, timeout=check.timeout)


def _masked(text: str, env: Mapping[str, str]) -> str:
    secrets = {value for name, value in env.items() if _SECRET.search(name) and len(value) >= 6}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _ask(check: HttpCheck, *, url: str, timeout: timedelta) -> _Found:
    import requests  # noqa: PLC0415  (a tenth of a second that a tick without checks does not pay)
    from urllib3.exceptions import HTTPError, ReadTimeoutError  # noqa: PLC0415  (comes with requests)

    seconds = timeout.total_seconds()
    late = _Found(passed=False, detail=f"no complete answer within {seconds:g} s")
    started = time.monotonic()
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy and no .netrc on the way to a loopback port
            with session.request(
                check.method, url + check.path, timeout=seconds, allow_redirects=False, stream=True
            ) as response:
                body = bytearray()
                while len(body) < BODY_READ and (part := response.raw.read1(65536, decode_content=True)):
                    body += part
                    if time.monotonic() - started > seconds:
                        return late
    except (requests.Timeout, ReadTimeoutError):
        return late
    except (requests.RequestException, HTTPError) as wrong:
        return _Found(passed=False, detail=f"no answer: {_cause(wrong)}")
    took = time.monotonic() - started
    return _judged(check, status=response.status_code, body=bytes(body[:BODY_READ]), took=took)


def _cause(wrong: BaseException) -> str:
    """The innermost reason in one line; the outer ones repeat the address and the class names of libraries."""
    reason = wrong
    while (inner := reason.__cause__ or reason.__context__) is not None:
        reason = inner
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return " ".join(str(reason).split())[:200] or type(reason).__name__


def _judged(check: HttpCheck, *, status: int, body: bytes, took: float) -> _Found:
    came = f"{status} after {took * 1000:.0f} ms"
    text = body.decode(errors="replace")
    wrong: list[str] = []
    if not any(re.fullmatch(one.replace("x", "[0-9]"), str(status)) for one in check.status):
        wrong.append(f"expected status {' or '.join(check.status)}")
    if check.body is not None and check.body.contains is not None and check.body.contains not in text:
        wrong.append(f"expected the answer to contain {check.body.contains!r}")
    if check.body is not None and check.body.matches is not None and not re.search(check.body.matches, text):
        wrong.append(f"expected the answer to match {check.body.matches!r}")
    if check.max_latency is not None and took > check.max_latency.total_seconds():
        wrong.append(f"expected an answer within {check.max_latency.total_seconds():g} s")
    detail = f"{', '.join(wrong)}; got {came}" if wrong else f"got {came}"
    return _Found(passed=not wrong, detail=detail, output=body[:_OUTPUT_READ])


def _execute(argv: tuple[str, ...], *, env: Mapping[str, str], timeout: timedelta) -> _Found:
    seconds = timeout.total_seconds()
    deadline = time.monotonic() + seconds
    try:
        process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as wrong:
        return _Found(passed=False, detail=f"{argv[0]!r} cannot be run: {(wrong.strerror or str(wrong)).lower()}")
    with process:
        try:
            output = _output(process, deadline=deadline)
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as wrong:
            return _Found(passed=False, detail=f"did not end within {seconds:g} s", output=wrong.output or b"")
        finally:
            # The whole group, so that nothing a check started outlives it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode < 0:
        return _Found(passed=False, detail=f"ended by signal {-process.returncode}", output=output)
    return _Found(passed=process.returncode == 0, detail=f"exit code {process.returncode}", output=output)


def _output(process: subprocess.Popen[bytes], *, deadline: float) -> bytes:
    """The first bytes of what the program prints, until it closes its output or ends. Raises TimeoutExpired."""
    assert process.stdout is not None
    kept = bytearray()
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if ready.select(timeout=min(left, 0.05)):
                part = os.read(process.stdout.fileno(), 65536)
                if not part:
                    return bytes(kept)
                kept += part[: _OUTPUT_READ - len(kept)]
            elif process.poll() is not None:
                return bytes(kept)  # something it started still holds the output open
    raise subprocess.TimeoutExpired(process.args, 0, output=bytes(kept))
