"""The example for HAProxy keeps the contract of every target, on a real HAProxy."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.demo.processes import accepts, find_program, free_port, running
from rollout.errors import TargetBusy
from rollout.targets.base import Target
from rollout.targets.command.settings import CommandSettings
from rollout.targets.command.target import CommandTarget
from tests.targets import slot_service
from tests.targets.contract import Answer, TargetContract
from tests.targets.test_command_contract import Killed, push_manifest

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "command-haproxy"
ORDERS: Final = (
    "deploy", "set_weight", "get_weight", "status", "promote", "rollback", "retire", "discard", "logs",
)  # fmt: skip


@dataclass(frozen=True)
class HAProxyHarness:
    """The example for the suite."""

    directory: Path
    port: int
    slots: str
    registry: str
    monkeypatch: pytest.MonkeyPatch
    pushed: dict[str, Release] = field(default_factory=dict)

    def target(self) -> Target:
        """See Harness."""
        program = [
            sys.executable, "-I", str(EXAMPLE / "blue_green.py"),
            "--socket", str(self.directory / "socket"),
            "--map", str(self.directory / "chat.map"),
            "--state", str(self.directory / "state"),
            "--service", str(self.directory / "service"),
            "--slots", self.slots,
            "--patience", "10",
        ]  # fmt: skip
        return CommandTarget(
            settings=CommandSettings.model_validate({**dict.fromkeys(ORDERS, program), "env": ["SLOTS"]}),
            service="chat",
            environment="production",
            image=f"{self.registry}/haproxy",
            env={"SLOTS": str(self.directory)},
        )

    def release(self, tag: str) -> Release:
        """See Harness."""
        if tag not in self.pushed:
            digest = push_manifest(self.registry, "haproxy", tag)
            self.pushed[tag] = Release(tag=tag, image=f"{self.registry}/haproxy", digest=digest)
            tags = {release.digest: release.tag for release in self.pushed.values()}
            (self.directory / "tags.json").write_text(json.dumps(tags))
        return self.pushed[tag]

    def broken_release(self) -> Release:
        """See Harness."""
        return self.release("broken")

    def ask(self) -> Answer:
        """See Harness."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        return Answer(status=response.status, release=body if response.status == 200 else "")

    def drift(self, weight: Weight) -> None:
        """See Harness."""
        path = self.directory / "chat.map"
        stable, canary, _, rollout = path.read_text().split()[1].split(":")
        ask_haproxy(self.directory / "socket", f"set map {path} live {stable}:{canary}:{weight.permille}:{rollout}")

    def interrupt(self, effect: Callable[[Target], None], *, at: int) -> bool:
        """See Harness. A contact is a program that is started, by the target or by the example itself."""
        slots = self.directory

        class Mortal(subprocess.Popen[bytes]):
            def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (whatever Popen takes)
                if slot_service.count(slots):
                    raise Killed
                super().__init__(*args, **kwargs)

        (slots / "contacts").write_text("0")
        (slots / "kill_at").write_text(str(at))
        with self.monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", Mortal)
            try:
                effect(self.target())
            except Killed:
                return True
            except TargetBusy:
                if not (slots / "killed").exists():
                    raise
                return True
            finally:
                (slots / "kill_at").unlink()
                (slots / "killed").unlink(missing_ok=True)
        return False


def ask_haproxy(path: Path, command: str) -> str:
    """What a person would do with socat."""
    import socket  # noqa: PLC0415  (the one test that is a person)

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(command.encode() + b"\n")
        return connection.recv(65536).decode()


@pytest.fixture
def haproxy(
    tmp_path_factory: pytest.TempPathFactory, registry_address: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HAProxyHarness]:
    """A HAProxy with the configuration of the example, and slots without an engine."""
    program = find_program("haproxy")
    if program is None:
        pytest.skip("missing: haproxy (scripts/system-packages installs it)")
    directory = tmp_path_factory.mktemp("ha")
    port, blue, green = free_port(), free_port(), free_port()
    (directory / "chat.map").write_text("live -:-:0:none\n")
    (directory / "tags.json").write_text("{}")
    service = directory / "service"
    service.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {slot_service.__file__} "$@"\n')
    service.chmod(0o755)
    with running(
        [program, "-f", EXAMPLE / "haproxy.cfg"],
        log=directory / "haproxy.log",
        ready=lambda: accepts(port),
        env={
            "CHAT_SOCKET": str(directory / "socket"),
            "CHAT_LISTEN": f"127.0.0.1:{port}",
            "CHAT_MAP": str(directory / "chat.map"),
            "CHAT_BLUE": str(blue),
            "CHAT_GREEN": str(green),
        },
    ):
        try:
            yield HAProxyHarness(directory, port, f"blue={blue},green={green}", registry_address, monkeypatch)
        finally:
            for slot in ("blue", "green"):
                slot_service.stop(directory, slot)


@pytest.mark.real
class TestHAProxyExampleBriefly:
    """What a user would see first, of the suite below."""

    @pytest.fixture
    def harness(self, haproxy: HAProxyHarness) -> HAProxyHarness:
        """A HAProxy of its own for each test."""
        return haproxy

    test_the_weight_that_was_set = TargetContract.test_the_weight_that_was_set_is_the_weight_that_is_read
    test_promoting = TargetContract.test_promoting_at_any_weight_keeps_everybody_served
    test_rolling_back = TargetContract.test_rolling_back_at_any_weight_keeps_everybody_served
    percents = TargetContract.percents


@pytest.mark.real
@pytest.mark.long
class TestHAProxyExample(TargetContract):
    """The same suite as nginx's."""

    @pytest.fixture
    def harness(self, haproxy: HAProxyHarness) -> HAProxyHarness:
        """A HAProxy of its own for each test."""
        return haproxy
