"""The nginx target keeps the contract of every target, with njs and without."""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest
import requests

from rollout.core.plan import Weight
from rollout.core.release import Release
from rollout.targets.base import Target
from tests.targets.conftest import Images, World
from tests.targets.contract import Answer, TargetContract

Given = ParamSpec("Given")
Gives = TypeVar("Gives")


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the project catches it."""


@dataclass(frozen=True)
class NginxHarness:
    """The nginx target for the suite."""

    world: World
    images: Images
    monkeypatch: pytest.MonkeyPatch

    def target(self) -> Target:
        """See Harness."""
        return self.world.target()

    def release(self, tag: str) -> Release:
        """See Harness."""
        return self.images.release(tag)

    def broken_release(self) -> Release:
        """See Harness."""
        return self.images.release("broken", env={"DIES": "yes"})

    def ask(self) -> Answer:
        """See Harness."""
        connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
        return Answer(status=response.status, release=body if response.status == 200 else "")

    def drift(self, weight: Weight) -> None:
        """See Harness."""
        assert self.world.settings.state is not None
        weight_path = self.world.settings.state / "gateway" / "weight"
        if not weight_path.exists():  # without njs only another process of ours can do it
            self.world.target().move(weight)
            return
        generation = weight_path.read_text().split()[0]
        weight_path.write_text(f"{generation} {weight.permille}\n")

    def interrupt(self, effect: Callable[[Target], None], *, at: int) -> bool:
        """See Harness. Its contacts with the outside are files made durable, programs run, and calls of the engine."""
        count = 0

        def kill_before(real: Callable[Given, Gives]) -> Callable[Given, Gives]:
            def contact(*args: Given.args, **kwargs: Given.kwargs) -> Gives:
                nonlocal count
                count += 1
                if count == at:
                    raise Killed
                return real(*args, **kwargs)

            return contact

        target = self.world.target()
        with self.monkeypatch.context() as patch:
            patch.setattr(os, "fsync", kill_before(os.fsync))
            patch.setattr(Path, "replace", kill_before(Path.replace))
            patch.setattr(subprocess, "run", kill_before(subprocess.run))
            patch.setattr(requests.Session, "send", kill_before(requests.Session.send))
            try:
                effect(target)
            except Killed:
                return True
        return False


@pytest.mark.real
class TestNginxTarget(TargetContract):
    """Both modes, by the fixture `mode`."""

    @pytest.fixture
    def harness(self, world: World, images: Images, monkeypatch: pytest.MonkeyPatch) -> NginxHarness:
        """An nginx and an engine of its own."""
        return NginxHarness(world, images, monkeypatch)
