"""The command target keeps the contract of every target."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests

from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.demo.images import MANIFEST_TYPES
from rollout.targets.base import Target
from rollout.targets.command.settings import CommandSettings
from rollout.targets.command.target import CommandTarget
from tests.targets.command_platform import Cut, Platform, platform
from tests.targets.contract import Answer, TargetContract

PROGRAM = (sys.executable, "-I", "-S", str(Path(__file__).with_name("command_program.py")))

ORDERS = ("deploy", "set_weight", "get_weight", "promote", "rollback", "retire", "discard", "logs")


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the project catches it."""


@dataclass(frozen=True)
class CommandHarness:
    """The command target for the suite."""

    platform: Platform
    registry: str
    monkeypatch: pytest.MonkeyPatch
    pushed: dict[str, Release] = field(default_factory=dict)

    def target(self) -> Target:
        """See Harness."""
        return CommandTarget(
            settings=CommandSettings.model_validate({**dict.fromkeys(ORDERS, PROGRAM), "env": ["ADMIN_PORT"]}),
            service="chat",
            environment="production",
            image=f"{self.registry}/chat",
            env={"ADMIN_PORT": str(self.platform.admin_port)},
        )

    def release(self, tag: str) -> Release:
        """See Harness. The image is nothing but a manifest: nobody pulls it."""
        if tag not in self.pushed:
            self.pushed[tag] = Release(
                tag=tag, image=f"{self.registry}/chat", digest=push_manifest(self.registry, "chat", tag)
            )
        return self.pushed[tag]

    def broken_release(self) -> Release:
        """See Harness."""
        return self.release("broken")

    def ask(self) -> Answer:
        """See Harness."""
        connection = http.client.HTTPConnection("127.0.0.1", self.platform.gateway_port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        return Answer(status=response.status, release=body if response.status == 200 else "")

    def drift(self, weight: Weight) -> None:
        """See Harness."""
        self.platform.permille = weight.permille

    def interrupt(self, effect: Callable[[Target], None], *, at: int) -> bool:
        """See Harness. A contact is a program that is started, or what a program asks of the platform."""
        world = self.platform

        class Mortal(subprocess.Popen[bytes]):
            """Raises once the moment to be killed at has come, before a program is started or in the middle of one."""

            def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  (whatever Popen takes)
                try:
                    world.contact()
                except Cut:
                    raise Killed from None
                super().__init__(*args, **kwargs)

            def poll(self) -> int | None:
                if world.killed:
                    raise Killed
                return super().poll()

        world.contacts, world.kill_at, world.killed = 0, at, False
        with self.monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", Mortal)
            try:
                effect(self.target())
            except Killed:
                return True
            finally:
                world.kill_at, world.killed = None, False
        return False


def push_manifest(registry: str, name: str, tag: str) -> str:
    """Put an image of one tiny layer into a registry; its digest. The tag is in it, so two tags are two digests."""
    base = f"http://{registry}/v2/{name}"
    config = f'{{"architecture":"amd64","os":"linux","config":{{"Env":["RELEASE={tag}"]}}}}'.encode()
    blob = f"sha256:{sha256(config).hexdigest()}"
    with requests.Session() as session:
        where = session.post(f"{base}/blobs/uploads/", timeout=10).headers["Location"]
        joint = "&" if "?" in where else "?"
        session.put(f"{where}{joint}digest={blob}", data=config, timeout=10).raise_for_status()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPES.split(", ")[0],
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": blob,
            },
            "layers": [],
        }
        answer = session.put(
            f"{base}/manifests/{tag}",
            json=manifest,
            headers={"Content-Type": str(manifest["mediaType"])},
            timeout=10,
        )
        answer.raise_for_status()
        return answer.headers["Docker-Content-Digest"]


@pytest.mark.real
class TestCommandTarget(TargetContract):
    """Without a status program; with one, the example for HAProxy does it."""

    @pytest.fixture
    def harness(self, registry_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandHarness]:
        """A platform of its own for each test, and a registry for all."""
        assert "ADMIN_PORT" not in os.environ
        with platform() as one:
            yield CommandHarness(one, registry_address, monkeypatch)
