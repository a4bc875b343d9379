"""The digest under a tag is the registry's own, whoever must log in for it, and no password leaves."""

from __future__ import annotations

import base64
import http.server
import json
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.credentials import Credentials, credentials_for
from rollout.targets.registry import digest_of, repository_of, resolve
from tests.targets.test_command_contract import push_manifest

PASSWORD = "correct-horse-battery"
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{sha256(MANIFEST).hexdigest()}"


@pytest.mark.parametrize(
    ("image", "registry", "path"),
    [
        ("ghcr.io/example/chat", "ghcr.io", "example/chat"),
        ("127.0.0.1:5000/chat", "127.0.0.1:5000", "chat"),
        ("localhost/chat", "localhost", "chat"),
        ("nginx", "registry-1.docker.io", "library/nginx"),
        ("example/chat", "registry-1.docker.io", "example/chat"),
        ("docker.io/nginx", "registry-1.docker.io", "library/nginx"),
    ],
)
def test_a_name_means_a_registry_and_a_path_as_docker_reads_it(image: str, registry: str, path: str) -> None:
    """A first part with a dot, a port or the name localhost is a registry; all else is on Docker Hub."""
    found = repository_of(image)
    assert (found.registry, found.path) == (registry, path)


def test_only_this_machine_is_asked_without_encryption() -> None:
    """As Docker does it."""
    assert repository_of("127.0.0.1:5000/chat").url.startswith("http://")
    assert repository_of("localhost:5000/chat").url.startswith("http://")
    assert repository_of("127.0.0.1.example.com/chat").url.startswith("https://")


@pytest.mark.real
def test_a_real_registry_gives_the_digest_that_was_pushed(registry_address: str, tmp_path: Path) -> None:
    """And a tag that is not there is said with what to check."""
    pushed = push_manifest(registry_address, "plain", "v1")
    image = f"{registry_address}/plain"
    assert resolve(image, "v1", env={"DOCKER_CONFIG": str(tmp_path)}).digest == pushed
    with pytest.raises(TargetFailed, match="plain:v2") as missing:
        resolve(image, "v2", env={"DOCKER_CONFIG": str(tmp_path)})
    assert missing.value.hint
    with pytest.raises(TargetFailed, match="is not a tag"):
        resolve(image, "../v1", env={})


@dataclass
class Registry:
    """A registry that wants a login, and its token service."""

    port: int
    scheme: str = "Bearer"
    realm: str = ""
    header: bool = True
    status: int = 200
    seen: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)

    @property
    def image(self) -> str:
        """An image in it."""
        return f"127.0.0.1:{self.port}/team/chat"


class _Answers(http.server.BaseHTTPRequestHandler):
    registry: ClassVar[Registry]
    basic: ClassVar[str] = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()

    def do_HEAD(self) -> None:
        self._manifest()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path != "/token":
            self._manifest()
            return
        self.registry.scopes += parse_qs(parts.query)["scope"]
        ok = self.headers.get("Authorization") in (self.basic, None)
        self._say(200 if ok else 401, json.dumps({"token": "t0ken" if self.headers.get("Authorization") else "anon"}))

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self._say(200, json.dumps({"access_token": "t0ken" if form["refresh_token"] == [PASSWORD] else "wrong"}))

    def _manifest(self) -> None:
        registry = self.registry
        authorization = self.headers.get("Authorization", "")
        registry.seen.append(authorization)
        wanted = "Bearer t0ken" if registry.scheme == "Bearer" else self.basic
        if registry.status != 200:
            self._say(registry.status, "")
        elif authorization != wanted:
            realm = registry.realm or f"http://127.0.0.1:{registry.port}/token"
            challenge = f'{registry.scheme} realm="{realm}",service="tests",scope="repository:team/chat:pull"'
            self._say(401, "", ("WWW-Authenticate", challenge))
        else:
            self._say(200, MANIFEST.decode(), *((("Docker-Content-Digest", DIGEST),) if registry.header else ()))

    def _say(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def registry_that(**wants: Any) -> Iterator[Registry]:  # noqa: ANN401  (fields of Registry)
    """A registry on a socket."""

    class Answers(_Answers):
        registry: ClassVar[Registry]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Answers.registry = Registry(port=server.server_port, **wants)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Answers.registry
        finally:
            server.shutdown()
            thread.join()


ME = Credentials(username="me", password=PASSWORD)


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
@pytest.mark.parametrize("header", [True, False])
def test_a_registry_that_wants_a_login_gets_the_one_it_asks_for(scheme: str, header: bool) -> None:
    """A token for this repository alone, or the password; where it gives no digest, that of the bytes is taken."""
    with registry_that(scheme=scheme, header=header) as one:
        assert digest_of(one.image, "v1", credentials=ME) == DIGEST
        assert set(one.scopes) <= {"repository:team/chat:pull"}
        if scheme == "Bearer":
            assert not any("Basic" in each for each in one.seen)


def test_an_identity_token_is_changed_for_one_of_the_repository() -> None:
    """It goes to the token service in the body, and nowhere else."""
    token = Credentials(username="<token>", password=PASSWORD, is_token=True)
    with registry_that() as one:
        assert digest_of(one.image, "v1", credentials=token) == DIGEST


def test_the_password_of_a_netrc_file_is_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """requests would put it in the place of what Docker knows."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login somebody password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with registry_that(scheme="Basic") as one:
        with pytest.raises(TargetFailed, match="without credentials"):
            digest_of(one.image, "v1")
        assert set(one.seen) == {""}


def test_a_refused_login_says_what_to_run_and_not_the_password() -> None:
    """Many registries refuse what does not exist, so the name is doubted as well."""
    with registry_that(scheme="Basic") as one, pytest.raises(TargetFailed, match="does not show") as refused:
        digest_of(one.image, "v1", credentials=Credentials(username="me", password="wrong-" + PASSWORD))
    assert "docker login" in refused.value.hint
    assert PASSWORD not in str(refused.value)
    assert PASSWORD not in repr(ME)


@pytest.mark.parametrize(
    ("status", "kind"), [(429, TargetBusy), (500, TargetBusy), (503, TargetBusy), (404, TargetFailed)]
)
def test_what_may_pass_is_told_from_what_will_not(status: int, kind: type[TargetFailed]) -> None:
    """By the class of the error."""
    with registry_that(status=status) as one, pytest.raises(TargetFailed) as failed:
        digest_of(one.image, "v1")
    assert type(failed.value) is kind
    assert failed.value.hint


def test_a_registry_that_does_not_answer_is_busy() -> None:
    """It may be there again later."""
    with registry_that() as one:
        gone = one.image
    with pytest.raises(TargetBusy, match="does not answer"):
        digest_of(gone, "v1")


def config(directory: Path, **content: object) -> dict[str, str]:
    """An environment with a configuration file of Docker's."""
    (directory / "config.json").write_text(json.dumps(content))
    return {"DOCKER_CONFIG": str(directory)}


def test_credentials_come_from_dockers_file(tmp_path: Path) -> None:
    """By the registry's name, in any of its spellings."""
    auth = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    env = config(tmp_path, auths={"https://ghcr.io": {"auth": auth}, "https://index.docker.io/v1/": {"auth": auth}})
    assert credentials_for("ghcr.io", env=env) == ME
    assert credentials_for("registry-1.docker.io", env=env) == ME
    assert credentials_for("quay.io", env=env) is None
    assert credentials_for("ghcr.io", env={"HOME": str(tmp_path)}) is None


def test_credentials_come_from_a_helper(tmp_path: Path) -> None:
    """The program gets the registry's name on its standard input."""
    helper = tmp_path / "docker-credential-tests"
    answer = json.dumps({"Username": "me", "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\nread name\n[ \"$name\" = ghcr.io ] || exit 1\necho '{answer}'\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    env = config(tmp_path, credHelpers={"ghcr.io": "tests", "quay.io": "tests", "other.io": "../sh"})
    env["PATH"] = f"{tmp_path}:/usr/bin:/bin"
    assert credentials_for("ghcr.io", env=env) == ME
    with pytest.raises(TargetFailed, match="docker-credential-tests fails"):
        credentials_for("quay.io", env=env)
    with pytest.raises(TargetFailed, match="does not name a credential helper"):
        credentials_for("other.io", env=env)


@pytest.mark.parametrize("content", ["", "[]", '{"auths": {"ghcr.io": {"auth": "%%%"}}}'])
def test_a_file_that_cannot_be_read_is_said_without_its_content(tmp_path: Path, content: str) -> None:
    """It holds passwords."""
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(TargetFailed) as failed:
        credentials_for("ghcr.io", env={"DOCKER_CONFIG": str(tmp_path)})
    assert "%%%" not in str(failed.value)
    assert failed.value.hint
