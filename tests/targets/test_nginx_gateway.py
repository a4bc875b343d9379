"""What real nginx does with the file: who comes where, what is logged, and what happens when it refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from rollout.core.plan import EVERYTHING, NOTHING, Weight
from rollout.demo.parts import Nginx, free_port, missing, nginx, wait_until
from rollout.errors import MissingProgram, TargetBusy, TargetFailed
from rollout.targets.nginx.gateway import Traffic
from rollout.targets.nginx.program import Program
from rollout.targets.nginx.status import Unanswered
from rollout.targets.nginx.tokens import Version, issue
from rollout.targets.nginx.values import Backend, Gateway, Override

pytestmark = pytest.mark.real

KEY: Final = "0123456789abcdef"
BACKENDS: Final = """
server {{ listen 127.0.0.1:{stable}; location / {{ return 200 "stable"; }} }}
server {{ listen 127.0.0.1:{canary}; location / {{ return 200 "canary"; }} }}
"""


def today() -> date:
    """The day by the clock that nginx has."""
    return date.today()  # noqa: DTZ011  # nginx tells local time


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A running nginx with our file, and two backends that answer their own role."""

    traffic: Traffic
    gateway: Gateway
    server: Nginx
    directory: Path

    def apply(self, weight: Weight, **changes: Any) -> None:  # noqa: ANN401  # fields of Gateway
        """Bring it into force."""
        self.traffic.apply(dataclasses.replace(self.gateway, **changes), weight, today=today())

    def get(self, *, method: str = "GET", **headers: str) -> tuple[int, str]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            body = b"x" if method == "POST" else None
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, "/path?secret=1", body=body, headers={"Connection": "close", **named})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def canary_users(self, users: range) -> frozenset[int]:
        """Which of these users see the canary."""
        found = set()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        for user in users:
            connection.request("GET", "/", headers={"Cookie": f"chat_uid=user-{user}"})
            if connection.getresponse().read() == b"canary":
                found.add(user)
        connection.close()
        return frozenset(found)

    def log(self, *, lines: int) -> list[dict[str, Any]]:
        """The access log, once it has so many lines."""
        path = Path(self.gateway.access_log)
        wait_until(
            lambda: len(path.read_text().splitlines()) >= lines, deadline_s=5, what=f"{lines} lines in the access log"
        )
        return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def running_gate(directory: Path, *, njs: bool, canary_port: int | None = None) -> Iterator[Gate]:
    """A gateway in a directory of its own."""
    lacking = [part.package for part in missing() if part.program in ("nginx", "njs")]
    if lacking:
        pytest.skip(f"missing: {', '.join(lacking)} (scripts/system-packages installs it)")
    port, stable, canary = free_port(), free_port(), canary_port or free_port()
    (directory / "conf").mkdir(parents=True)
    unused = free_port() if canary_port else canary
    (directory / "conf" / "backends.conf").write_text(BACKENDS.format(stable=stable, canary=unused))
    with nginx(directory / "nginx", port=port, include=directory / "conf" / "*.conf", njs=njs) as server:
        gateway = Gateway(
            service="chat",
            environment="production",
            listen=(f"127.0.0.1:{port}",),
            server_name=("_",),
            stable=Backend(port=stable, rollout="r1", tag="v1"),
            canary=Backend(port=canary, rollout="r2", tag="v2"),
            rollout="r2",
            secret="0123456789abcdef" * 2,
            cookie="chat_uid",
            cookie_age=timedelta(days=30),
            testers=Override(key=KEY, cookie="chat_version", domain="beta.example.com"),
            access_log=str(directory / "access.json"),
            script_file="/unused.js",
            weight_file="/unused",
            read_timeout=timedelta(seconds=5),
            max_body="100m",
            njs=njs,
        )
        traffic = Traffic(
            program=Program(binary=str(server.binary), config=server.config, prefix=server.prefix),
            include=directory / "conf" / "chat.conf",
            directory=directory / "state",
            njs=None,
            patience=timedelta(seconds=3),
        )
        yield Gate(traffic=traffic, gateway=gateway, server=server, directory=directory)


@pytest.fixture
def gate(tmp_path: Path, mode: str) -> Iterator[Gate]:
    """A gateway of either mode."""
    with running_gate(tmp_path, njs=mode == "njs") as one:
        yield one


def test_users_keep_their_version_through_all_weights(gate: Gate) -> None:
    """Nobody leaves the canary while the weight rises, nobody joins it while it falls."""
    users = range(800)
    before: frozenset[int] = frozenset()
    for percent in (0, 0.1, 1, 5, 10, 25, 50, 99.9, 100):
        gate.apply(Weight(percent))
        now = gate.canary_users(users)
        assert before <= now
        assert abs(len(now) / len(users) - percent / 100) < 0.05
        before = now
    assert len(before) == len(users)
    for percent in (99.9, 50, 10, 1, 0):
        gate.apply(Weight(percent))
        now = gate.canary_users(users)
        assert now <= before
        before = now
    assert not before


def test_both_modes_send_the_same_users_to_the_canary(tmp_path: Path) -> None:
    """So that a machine that gains or loses njs moves nobody; and another rollout takes other users first."""
    users = range(1500)
    with ExitStack() as stack:
        one = stack.enter_context(running_gate(tmp_path / "njs", njs=True))
        two = stack.enter_context(running_gate(tmp_path / "reload", njs=False))
        for percent in (0.7, 50):
            one.apply(Weight(percent))
            two.apply(Weight(percent))
            assert one.canary_users(users) == two.canary_users(users) != frozenset()
        other = dataclasses.replace(two.gateway, rollout="another")
        two.traffic.apply(other, Weight(50), today=today())
        assert two.canary_users(users) != one.canary_users(users)


def test_a_new_user_is_named_and_then_known(gate: Gate) -> None:
    """The cookie is set once, and the first answer already came from the version it will always be."""
    gate.apply(Weight(50))
    seen = set()
    for _ in range(30):
        connection = http.client.HTTPConnection("127.0.0.1", gate.server.port, timeout=10)
        connection.request("GET", "/")
        response = connection.getresponse()
        first, cookie = response.read(), str(response.getheader("Set-Cookie"))
        assert "HttpOnly" in cookie
        assert "Secure" not in cookie
        connection.request("GET", "/", headers={"Cookie": cookie.partition(";")[0], "X-Forwarded-Proto": "https"})
        response = connection.getresponse()
        assert response.getheader("Set-Cookie") is None
        assert response.read() == first
        seen.add(first)
        connection.request("GET", "/", headers={"X-Forwarded-Proto": "https"})
        response = connection.getresponse()
        response.read()
        assert "; Secure" in str(response.getheader("Set-Cookie"))
        connection.close()
    assert seen == {b"stable", b"canary"}


def _token(version: Version, days: int = 3, *, service: str = "chat", since: int = 0) -> str:
    then = today() + timedelta(days=since)
    return issue(KEY, service=service, version=version, expires=then + timedelta(days=days), today=then)


def test_testers_see_what_their_token_says(gate: Gate) -> None:
    """By header, by cookie and by domain, whatever the weight; and the log says why."""
    gate.apply(NOTHING)
    cookie = "Cookie"
    assert gate.get(X_Rollout_Version=_token("canary")) == (200, "canary")
    assert gate.get(**{cookie: f"chat_version={_token('canary', 30)}"}) == (200, "canary")
    assert gate.get(X_Rollout_Version=_token("canary", 0)) == (200, "canary")
    assert gate.get(Host="beta.example.com") == (200, "canary")
    assert gate.get(Host="beta.example.com", X_Rollout_Version=_token("stable")) == (200, "stable")
    assert gate.get() == (200, "stable")
    gate.apply(EVERYTHING)
    assert gate.get(X_Rollout_Version=_token("stable")) == (200, "stable")
    assert gate.get() == (200, "canary")
    why = [(line["version"], line["why"]) for line in gate.log(lines=8)]
    assert why == [
        ("canary", "header"),
        ("canary", "cookie"),
        ("canary", "header"),
        ("canary", "domain"),
        ("stable", "header"),
        ("stable", "split"),
        ("stable", "header"),
        ("canary", "split"),
    ]


def test_a_token_that_is_not_genuine_opens_nothing(gate: Gate) -> None:
    """Unsigned, forged, expired, of another service, of another day, or cut."""
    gate.apply(NOTHING)
    good = _token("canary")
    forged = good[:-1] + ("0" if good[-1] != "0" else "1")
    moved = good.replace(str(today() + timedelta(days=3)), str(today() + timedelta(days=4)))
    for token in (
        "canary",
        "canary.",
        forged,
        moved,
        good[:-1],
        good + "0",
        f"x{good}",
        _token("stable").replace("stable", "canary"),
        _token("canary", 0, since=-1),
        _token("canary", 30, since=2),
        _token("canary", service="mail"),
    ):
        assert gate.get(X_Rollout_Version=token) == (200, "stable"), token
        assert gate.get(Cookie=f"chat_version={token}") == (200, "stable"), token


def test_a_token_expires_though_the_configuration_is_older(gate: Gate) -> None:
    """A file that was written five days ago lists tokens that have expired since."""
    written = today() - timedelta(days=5)
    gate.traffic.apply(gate.gateway, NOTHING, today=written)
    for days, version in ((0, "stable"), (4, "stable"), (5, "canary"), (30, "canary")):
        token = issue(KEY, service="chat", version="canary", expires=written + timedelta(days=days), today=written)
        assert gate.get(X_Rollout_Version=token) == (200, version), days


def test_a_dead_canary_is_answered_by_stable_and_counted_as_its_own_failure(tmp_path: Path, mode: str) -> None:
    """Nobody notices a canary that does not even listen, and the log tells on it."""
    with running_gate(tmp_path, njs=mode == "njs", canary_port=free_port()) as gate:
        gate.apply(EVERYTHING)
        assert gate.get() == (200, "stable")
        assert gate.get(method="POST") == (200, "stable")
        for line in gate.log(lines=2):
            assert line["version"] == "canary"
            assert line["release"] == "v2"
            assert line["upstream_status"] == "502, 200"
            assert line["status"] == 200
            assert line["uri"] == "/path"


def test_only_what_can_be_repeated_is_repeated(tmp_path: Path, mode: str) -> None:
    """A canary that takes a request and drops it: GET is answered by stable, POST is not sent twice."""
    with dropping_backend() as port, running_gate(tmp_path, njs=mode == "njs", canary_port=port) as gate:
        gate.apply(EVERYTHING)
        assert gate.get() == (200, "stable")
        assert gate.get(method="POST")[0] == 502
        assert [line["upstream_status"] for line in gate.log(lines=2)] == ["502, 200", "502"]


@contextmanager
def dropping_backend() -> Iterator[int]:
    """A server that reads a request and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_without_a_stable_release_only_testers_are_served(gate: Gate) -> None:
    """Everybody else gets 503 from nginx."""
    gate.apply(NOTHING, stable=None)
    assert gate.get()[0] == 503
    assert gate.get(X_Rollout_Version=_token("canary")) == (200, "canary")
    assert gate.get(Host="beta.example.com") == (200, "canary")
    assert gate.get(X_Rollout_Version=_token("stable"))[0] == 503


def test_without_a_canary_tokens_for_it_open_stable(gate: Gate) -> None:
    """A tester who keeps the cookie after the rollout is not locked out."""
    gate.apply(NOTHING, canary=None)
    assert gate.get(X_Rollout_Version=_token("canary")) == (200, "stable")
    assert gate.get(Host="beta.example.com") == (200, "stable")
    assert {line["why"] for line in gate.log(lines=2)} == {"stable"}


def test_a_swap_of_roles_never_takes_the_weight_of_the_roles_before(gate: Gate) -> None:
    """Back at the same roles, the weight that stood there long ago does not come back."""
    gate.apply(NOTHING)
    gate.apply(EVERYTHING)
    promoted = {"stable": gate.gateway.canary, "canary": None}
    gate.apply(NOTHING, **promoted)
    assert gate.get() == (200, "canary")
    gate.apply(NOTHING)
    assert gate.get() == (200, "stable")
    assert gate.traffic.status(gate.gateway).weight == NOTHING


def test_a_server_of_the_users_own_can_hand_over_to_the_service(gate: Gate) -> None:
    """`proxy_pass http://chat;` is all it says."""
    gate.apply(NOTHING)
    port = free_port()
    own = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://chat; proxy_set_header Host $host; }} }}"
    (gate.directory / "conf" / "own.conf").write_text(own)
    gate.traffic.program.reload()

    def answers() -> bool:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            with contextlib.closing(connection):
                connection.request("GET", "/")
                return connection.getresponse().read() == b"stable"
        return False

    wait_until(answers, deadline_s=5, what="the user's own server hands over")


def test_a_fault_in_another_file_is_told_and_nothing_is_changed(gate: Gate) -> None:
    """The file is named, ours is not touched, and the gateway serves on."""
    gate.apply(Weight(10))
    ours = gate.traffic.include.read_text()
    (gate.directory / "conf" / "other.conf").write_text("no_such_directive on;\n")
    with pytest.raises(TargetFailed, match=r"not ours.*no_such_directive.*other\.conf:1"):
        gate.apply(NOTHING, canary=None)
    assert gate.traffic.include.read_text() == ours
    assert gate.traffic.status(gate.gateway).weight == Weight(10)


def test_a_file_that_nginx_refuses_is_taken_back(gate: Gate) -> None:
    """Here another file already has an upstream of the same name."""
    (gate.directory / "conf" / "aaa.conf").write_text("upstream chat { server 127.0.0.1:1; }\n")
    with pytest.raises(TargetFailed, match="duplicate upstream"):
        gate.apply(NOTHING)
    assert not gate.traffic.include.exists()
    (gate.directory / "conf" / "aaa.conf").unlink()
    gate.apply(Weight(10))
    ours = gate.traffic.include.read_text()
    (gate.directory / "conf" / "zzz.conf").write_text(f"server {{ listen {gate.gateway.listen[0]} default_server; }}\n")
    with pytest.raises(TargetFailed, match="duplicate default server"):
        gate.apply(NOTHING, canary=None)
    assert gate.traffic.include.read_text() == ours
    assert gate.traffic.status(gate.gateway).weight == Weight(10)


def test_a_server_that_would_take_our_requests_is_noticed(gate: Gate) -> None:
    """Nginx only warns; users would never come to us."""
    other = f"server {{ listen {gate.gateway.listen[0]}; server_name chat.example.com; }}\n"
    (gate.directory / "conf" / "aaa.conf").write_text(other)
    with pytest.raises(TargetFailed, match="conflicting server name"):
        gate.apply(NOTHING, server_name=("chat.example.com",))
    assert not gate.traffic.include.exists()


def test_a_file_that_is_not_included_is_noticed(gate: Gate) -> None:
    """With the line that is missing in nginx.conf."""
    (gate.directory / "elsewhere").mkdir()
    traffic = dataclasses.replace(gate.traffic, include=gate.directory / "elsewhere" / "chat.conf")
    with pytest.raises(TargetFailed, match="does not include") as failed:
        traffic.apply(gate.gateway, NOTHING, today=today())
    assert f"include {gate.directory}/elsewhere/*.conf;" in failed.value.hint
    assert not traffic.include.exists()


def test_an_address_that_another_program_has_is_noticed(gate: Gate) -> None:
    """Nginx passes its test, and cannot bind; the former file is back."""
    gate.apply(Weight(10))
    ours = gate.traffic.include.read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = (f"127.0.0.1:{taken.getsockname()[1]}",)
        with pytest.raises(TargetBusy, match="does not serve the new configuration"):
            gate.apply(NOTHING, listen=listen)
    assert gate.traffic.include.read_text() == ours
    assert gate.traffic.status(gate.gateway).weight == Weight(10)


def test_without_a_running_nginx_the_file_is_taken_back(tmp_path: Path, mode: str) -> None:
    """And the person is told to start it."""
    with running_gate(tmp_path, njs=mode == "njs") as gate:
        pass
    with pytest.raises(TargetFailed, match="cannot be reloaded") as failed:
        gate.apply(NOTHING)
    assert "Start nginx" in failed.value.hint
    assert not gate.traffic.include.exists()
    with pytest.raises(Unanswered, match="nothing answers"):
        gate.traffic.status(gate.gateway)


def test_without_nginx_the_program_is_named(tmp_path: Path) -> None:
    """One sentence says what to install."""
    with pytest.raises(MissingProgram, match="no-such-nginx"):
        Program(binary="no-such-nginx").test()


def test_what_answers_in_our_place_is_not_believed(gate: Gate) -> None:
    """A page of another server is no weight."""
    server = f'server {{ listen {gate.gateway.listen[0]} default_server; location / {{ return 200 "[]"; }} }}\n'
    (gate.directory / "conf" / "other.conf").write_text(server)
    subprocess.run([gate.server.binary, "-c", gate.server.config, "-p", gate.server.prefix, "-s", "reload"], check=True)
    wait_until(lambda: _answers(gate), deadline_s=5, what="the other server answers")
    with pytest.raises(Unanswered, match="is not the gateway of this service"):
        gate.traffic.status(gate.gateway)


def _answers(gate: Gate) -> bool:
    try:
        return gate.get()[0] == 200
    except OSError:
        return False


def test_the_same_again_changes_nothing(gate: Gate) -> None:
    """Not the file, and not the generation that runs."""
    gate.apply(Weight(10))
    before = gate.traffic.status(gate.gateway), gate.traffic.include.read_text()
    gate.apply(Weight(10))
    assert (gate.traffic.status(gate.gateway), gate.traffic.include.read_text()) == before


def test_a_damaged_weight_file_sends_nobody_to_the_canary(tmp_path: Path) -> None:
    """With njs: the gateway says what is wrong, and the next weight mends it."""
    with running_gate(tmp_path, njs=True) as gate:
        gate.apply(NOTHING)
        gate.apply(Weight(50))
        gate.traffic.weight_path.write_text("garbage")
        status = gate.traffic.status(gate.gateway)
        assert (status.weight, status.problem) == (NOTHING, "the weight file is malformed")
        assert gate.canary_users(range(50)) == frozenset()
        gate.apply(Weight(50))
        assert gate.traffic.status(gate.gateway).problem == ""
