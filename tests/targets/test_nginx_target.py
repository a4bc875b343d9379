"""The nginx target with real containers: what only this target does, and what it says when something is wrong."""

from __future__ import annotations

import http.client
import json
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

import docker
import pytest

from rollout.core.finding import Severity
from rollout.core.plan import NOTHING, Weight
from rollout.core.release import Release
from rollout.demo.parts import wait_until
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.base import Health
from rollout.targets.nginx.containers import Engine
from rollout.targets.nginx.settings import NginxSettings
from rollout.targets.nginx.target import NginxTarget
from tests.serving import Quiet, serving
from tests.targets.conftest import Images, World, end_process

pytestmark = pytest.mark.real

SECRET: Final = "correct-horse-battery"  # what conftest gives the containers, to look for it


def changed(settings: NginxSettings, **container: Any) -> NginxSettings:  # noqa: ANN401  # fields of the settings
    """The settings with another container section."""
    return settings.model_copy(update={"container": settings.container.model_copy(update=container)})


def rolled_out(world: World, images: Images) -> NginxTarget:
    """v1 is stable, v2 the canary at 100 %."""
    target = world.target()
    target.deploy(images.release("v1"), rollout="r1")
    target.promote()
    target.deploy(images.release("v2"), rollout="r2")
    target.move(Weight(100))
    return target


def containers(world: World) -> dict[str, str]:
    """The service's containers and their status."""
    found = world.client.containers.list(all=True, filters={"label": "rollout.service=chat"})
    return {str(each.name): str(each.status) for each in found}


def instance(world: World) -> tuple[Health, int, int, int]:
    """What the target says of the canary: health, restarts, instances that are ready, and that should be."""
    canary = world.target().look().canary
    assert canary is not None
    return canary.health, canary.restarts, canary.ready, canary.wanted


@contextmanager
def stream(port: int) -> Iterator[http.client.HTTPResponse]:
    """A long answer of server-sent events."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/cgi-bin/stream")
    response = connection.getresponse()
    try:
        yield response
    finally:
        response.close()
        connection.close()


class Stranger(Quiet, BaseHTTPRequestHandler):
    """Says 200 to everything."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()


def test_a_stream_outlives_every_change_of_the_weight_and_ends_with_its_container(world: World, images: Images) -> None:
    """Events arrive one by one, through moves and a rollback, until the canary is retired."""
    target = rolled_out(world, images)
    with stream(world.port) as events:
        assert events.readline() == b"data: 0\n"
        target.move(Weight(50))
        target.roll_back(rollout="r2")
        number = 0
        for _ in range(20):
            line = events.readline()
            number = int(line.split()[1]) if line.startswith(b"data") else number
        assert number >= 9
        target.retire()
        ended = threading.Event()

        def drain() -> None:
            try:
                while events.readline():
                    pass
            except (OSError, http.client.HTTPException):
                pass
            ended.set()

        threading.Thread(target=drain, daemon=True).start()
        assert ended.wait(5)
    assert containers(world) == {"chat-production-r1": "running"}


def test_a_rollback_starts_a_stable_release_that_was_stopped(world: World, images: Images) -> None:
    """Traffic goes there only once it is ready."""
    target = rolled_out(world, images)
    world.client.containers.get("chat-production-r1").stop(timeout=2)
    seen = target.look()
    assert seen.stable is not None
    assert seen.stable.health is Health.DEAD
    target.roll_back(rollout="r2")
    seen = target.look()
    assert seen.stable is not None
    assert (seen.stable.health, seen.weight) == (Health.READY, NOTHING)


def test_a_stable_release_that_somebody_removed_is_run_anew_before_a_rollback(world: World, images: Images) -> None:
    """The same image; traffic goes there once it is ready."""
    target = rolled_out(world, images)
    world.client.containers.get("chat-production-r1").remove(force=True)
    target.roll_back(rollout="r2")
    seen = target.look()
    assert seen.stable is not None
    assert (seen.stable.release, seen.stable.health, seen.weight) == (images.release("v1"), Health.READY, NOTHING)


def test_a_stranger_that_answers_on_the_port_of_stable_is_not_taken_for_it(world: World, images: Images) -> None:
    """Stable was removed and another program listens where it was: stable is run anew, elsewhere."""
    target = rolled_out(world, images)
    stable = target.look().stable
    assert stable is not None
    world.client.containers.get("chat-production-r1").remove(force=True)
    with serving(Stranger, port=int(stable.url.rpartition(":")[2])):
        target.roll_back(rollout="r2")
        seen = target.look()
    assert seen.stable is not None
    assert (seen.stable.health, seen.weight) == (Health.READY, NOTHING)
    assert seen.stable.url != stable.url


def test_a_rollback_never_goes_to_a_release_that_cannot_be_had(world: World, images: Images) -> None:
    """The reserve is gone and cannot be run again: users stay where they are served, and the person is told."""
    target = rolled_out(world, images)
    target.promote()
    target.retire()
    world.client.containers.get("chat-production-r1").remove(force=True)
    broken = world.target(changed(world.settings, env_file=world.settings.include.with_suffix(".absent")))
    with pytest.raises(TargetBusy, match="traffic stays where it is"):
        broken.roll_back(rollout="r2")
    seen = target.look()
    assert seen.stable is not None
    assert (seen.stable.release, seen.stable.health) == (images.release("v2"), Health.READY)


def test_a_reserve_whose_port_was_taken_comes_back_on_another(world: World, images: Images) -> None:
    """A stopped container holds no port, and another program may come for it."""
    target = rolled_out(world, images)
    stable = target.look().stable
    assert stable is not None
    target.promote()
    target.retire()
    with socket.create_server(("127.0.0.1", int(stable.url.rpartition(":")[2]))):
        target.roll_back(rollout="r2")
        seen = target.look()
        assert seen.stable is not None
        assert (seen.stable.release.tag, seen.stable.health) == ("v1", Health.READY)
        assert seen.stable.url != stable.url
        target.retire()
    assert containers(world) == {"chat-production-r1": "running"}


def test_a_canary_that_died_is_seen_and_is_not_promoted(world: World, images: Images) -> None:
    """Stable answers for it meanwhile."""
    target = rolled_out(world, images)
    world.client.containers.get("chat-production-r2").kill()
    seen = target.look()
    assert seen.canary is not None
    assert seen.canary.health is Health.DEAD
    with pytest.raises(TargetFailed, match="does not run"):
        target.promote()
    target.roll_back(rollout="r2")
    target.retire()
    assert containers(world) == {"chat-production-r1": "running"}


def test_a_canary_that_was_restarted_says_how_often(world: World, images: Images) -> None:
    """Its process ends twice, the engine starts it again, and nobody would see it in its health."""
    canary = rolled_out(world, images).look().canary
    assert canary is not None
    assert instance(world) == (Health.READY, 0, 1, 1)
    for restarts in (1, 2):
        end_process(world, "chat-production-r2", url=canary.url)
        wait_until(lambda: instance(world)[0] is Health.READY, deadline_s=20, what="the canary to come back")
        assert instance(world) == (Health.READY, restarts, 1, 1)


def test_a_canary_that_fails_its_health_check_is_not_ready_and_not_promoted(world: World, images: Images) -> None:
    """It runs, and nothing of it is ready; once it answers again, all of it is."""
    target = rolled_out(world, images)
    canary = world.client.containers.get("chat-production-r2")
    canary.exec_run(["/bin/busybox", "mv", "/www/health", "/www/ill"])
    assert instance(world) == (Health.UNREADY, 0, 0, 1)
    with pytest.raises(TargetBusy, match="does not answer its health check"):
        target.promote()
    canary.exec_run(["/bin/busybox", "mv", "/www/ill", "/www/health"])
    assert instance(world) == (Health.READY, 0, 1, 1)


def test_a_release_that_ends_at_once_is_told_with_its_last_words(world: World, images: Images) -> None:
    """Exit code and log, without the secrets of its environment."""
    target = world.target()
    with pytest.raises(TargetFailed, match="exit code 3") as failed:
        target.deploy(images.release("broken", env={"DIES": "yes"}), rollout="r1")
    assert "release broken starts with ***" in failed.value.hint
    assert SECRET not in str(failed.value)
    assert SECRET not in target.logs(lines=10)
    assert containers(world) == {}
    assert world.settings.state is not None
    kept = world.settings.state / "logs" / "chat-production-r1.log"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_release_that_is_never_healthy_is_told_with_its_last_answer(world: World, images: Images) -> None:
    """And removed."""
    settings = changed(world.settings, health="/no-such-path", health_timeout=world.settings.container.stop_timeout)
    with pytest.raises(TargetFailed, match="/no-such-path said: HTTP 404"):
        world.target(settings).deploy(images.release("v1"), rollout="r1")
    assert containers(world) == {}


def test_an_image_that_is_not_there_is_told(world: World, images: Images) -> None:
    """By its reference."""
    absent = Release(tag="v1", image=images.release("v1").image, digest="sha256:" + "0" * 64)
    with pytest.raises(TargetFailed, match="is not there"):
        world.target().deploy(absent, rollout="r1")
    assert containers(world) == {}


def test_a_registry_that_is_away_may_come_back(world: World) -> None:
    """So another try is worth it."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    target = NginxTarget(
        settings=world.settings,
        service="chat",
        environment="production",
        image=f"{address}/chat",
        env={},
        clock=world.target().clock,
    )
    with pytest.raises(TargetBusy):
        target.resolve("v1")


def test_an_engine_that_is_away_is_told_and_look_still_answers(world: World, images: Images) -> None:
    """What answers its health check is ready, whatever the engine says."""
    rolled_out(world, images)
    away = world.target(changed(world.settings, socket="unix:///nonexistent/engine.sock"))
    with pytest.raises(TargetBusy, match="does not answer"):
        away.resolve("v1")
    seen = away.look()
    assert seen.canary is not None
    assert (seen.canary.health, seen.weight) == (Health.READY, Weight(100))


def test_a_gateway_that_is_away_has_no_weight(world: World, images: Images) -> None:
    """Nothing is guessed, and nothing is stopped."""
    rolled_out(world, images)
    elsewhere = world.target(world.settings.model_copy(update={"listen": ("127.0.0.1:1",)}))
    seen = elsewhere.look()
    assert seen.weight is None
    assert "nothing answers on 127.0.0.1:1" in seen.problem
    with pytest.raises(TargetBusy, match="nothing is stopped"):
        elsewhere.retire()


def test_a_file_that_somebody_removed_does_not_make_users_invisible(world: World, images: Images) -> None:
    """The running gateway still sends them to the canary, so it stays; the next weight writes the file anew."""
    target = rolled_out(world, images)
    world.settings.include.unlink()
    target.retire()
    assert containers(world)["chat-production-r2"] == "running"
    target.roll_back(rollout="r2")
    assert target.look().weight == NOTHING
    assert world.settings.include.exists()


def test_a_port_that_another_program_has_is_passed_over(world: World, images: Images) -> None:
    """The next one is taken; with none left, nothing is run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        target = world.target(changed(world.settings, ports=f"{port}-{port + 20}"))
        target.deploy(images.release("v1"), rollout="r1")
        seen = target.look()
        assert seen.canary is not None
        assert seen.canary.url != f"http://127.0.0.1:{port}"
        none = world.target(changed(world.settings, ports=f"{port}-{port}"))
        none.retire()
        with pytest.raises(TargetFailed, match="no port of"):
            none.deploy(images.release("v1"), rollout="r2")
    assert containers(world) == {}


def test_prometheus_is_told_where_the_versions_are(world: World, images: Images) -> None:
    """As roles change."""

    def told() -> dict[str, str]:
        assert world.settings.state is not None
        groups = json.loads((world.settings.state / "targets.json").read_text())
        assert all(group["labels"]["service"] == "chat" for group in groups)
        assert all(f"http://{group['targets'][0]}" in urls for group in groups)
        return {group["labels"]["version"]: group["labels"]["release"] for group in groups}

    target = rolled_out(world, images)
    seen = target.look()
    assert seen.stable is not None
    assert seen.canary is not None
    urls = {seen.stable.url, seen.canary.url}
    assert told() == {"stable": "v1", "canary": "v2"}
    target.promote()
    assert told() == {"stable": "v2"}
    target.roll_back(rollout="r2")
    assert told() == {"stable": "v1", "canary": "v2"}
    target.retire()
    assert told() == {"stable": "v1"}


def test_the_container_runs_as_the_settings_say(world: World, images: Images, tmp_path: Path) -> None:
    """Limits, labels, environment; and only this machine can reach it."""
    (tmp_path / "service.env").write_text("FROM_FILE=1\nSECRET=overridden\n")
    settings = changed(world.settings, memory="64m", cpus=0.5, env_file=tmp_path / "service.env", user="0:0")
    world.target(settings).deploy(images.release("v1"), rollout="r1")
    container = world.client.containers.get("chat-production-r1")
    config, host = container.attrs["Config"], container.attrs["HostConfig"]
    assert {"FROM_FILE=1", f"SECRET={SECRET}"} <= set(config["Env"])
    assert (host["Memory"], host["NanoCpus"], config["User"]) == (64 * 1024 * 1024, 500_000_000, "0:0")
    assert host["PortBindings"]["8080/tcp"][0]["HostIp"] == "127.0.0.1"
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert container.labels["rollout.id"] == "r1"
    assert container.labels["rollout.release"] == "v1"
    assert container.labels["rollout.digest"] == images.release("v1").digest


def test_a_leftover_without_traffic_makes_room_and_one_with_traffic_does_not(world: World, images: Images) -> None:
    """A canary that users are on is never taken away by the next rollout."""
    target = rolled_out(world, images)
    with pytest.raises(TargetFailed, match="still gets traffic"):
        target.deploy(images.release("v3"), rollout="r3")
    target.roll_back(rollout="r2")
    target.deploy(images.release("v3"), rollout="r3")
    assert set(containers(world)) == {"chat-production-r1", "chat-production-r3"}


@pytest.mark.parametrize("mode", ["njs"])
def test_torn_notes_block_everything_and_stay(world: World, images: Images) -> None:
    """Nothing is run, moved or stopped on a guess."""
    target = rolled_out(world, images)
    assert world.settings.state is not None
    notes = world.settings.state / "target.json"
    torn = notes.read_text()[:-40]
    notes.write_text(torn)

    def roll_back() -> None:
        target.roll_back(rollout="r2")

    for call in (target.look, target.promote, roll_back, target.retire, target.discard):
        with pytest.raises(TargetFailed, match="cannot be understood"):
            call()
    assert notes.read_text() == torn
    assert set(containers(world).values()) == {"running"}


def test_a_healthy_machine_has_no_findings(world: World, images: Images) -> None:
    """Before the first rollout and after it, and looking changes nothing."""
    target = world.target()
    before = sorted(str(path) for path in world.settings.include.parent.parent.rglob("*.conf*"))
    for _ in range(2):
        findings = {finding.subject: finding for finding in target.diagnose()}
        bad = [each for each in findings.values() if each.severity is Severity.ERROR]
        assert not bad
        assert not [path for path in before if not Path(path).exists()]
        target.deploy(images.release("v1"), rollout="r1")
    assert findings["container engine"].message.startswith(("Docker", "Podman"))


@pytest.mark.parametrize("mode", ["reload"])
def test_every_fault_of_the_machine_is_found_with_a_hint(world: World, tmp_path: Path) -> None:
    """All of them in one run."""
    settings = changed(world.settings, socket="unix:///nonexistent.sock", env_file=tmp_path / "absent.env")
    settings = settings.model_copy(update={"include": tmp_path / "elsewhere" / "chat.conf"})
    findings = {finding.subject: finding for finding in world.target(settings).diagnose()}
    bad = {subject: one for subject, one in findings.items() if one.severity is not Severity.OK}
    assert set(bad) == {"njs", "include", "container engine", "env file"}
    assert all(finding.hint for finding in bad.values())
    (tmp_path / "conf" / "broken.conf").write_text("nonsense;\n")
    broken = {finding.subject: finding for finding in world.target(settings).diagnose()}
    assert "nonsense" in broken["nginx"].message


def test_a_log_is_kept_up_to_its_end(world: World, client: docker.DockerClient, tmp_path: Path, images: Images) -> None:
    """What was written last is what is kept."""
    release = images.release("v1")
    engine = Engine(world.engine.url)
    engine.pull(release.reference)
    container = client.containers.create(
        release.reference,
        name="rollout-test-log",
        entrypoint=["/bin/busybox", "sh", "-c", "/bin/busybox seq 1 200000"],
        labels={"rollout.service": "chat"},
    )
    container.start()
    container.wait()
    engine.remove("rollout-test-log", timeout=1, log=tmp_path / "logs" / "x.log")
    assert (tmp_path / "logs" / "x.log").read_text().endswith("199999\n200000\n")
    assert engine.look("rollout-test-log") is None
