"""The demo's servers start in private, answer, and leave nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import docker
import pytest
import requests

from rollout.demo.images import build_and_push
from rollout.demo.parts import (
    REQUIRED,
    PartFailed,
    container_engine,
    free_port,
    nginx,
    prometheus,
    registry,
    wait_until,
)
from rollout.demo.processes import accepts, find_program, running

ROOT = Path(__file__).parents[2]
Needs = Callable[..., None]


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has collected yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("Z")
    except FileNotFoundError:
        return True


def test_the_script_and_the_demo_know_the_same_packages() -> None:
    """What `scripts/system-packages` installs is what the demo misses, with the same words, in the same order."""
    script = (ROOT / "scripts" / "system-packages").read_text()
    told = re.findall(r'echo "([a-z0-9.-]+)\$\{tab\}([^"]+)"', script)
    assert told == [(part.package, part.purpose) for part, _ in REQUIRED]


def test_the_script_lists_what_this_machine_lacks() -> None:
    """Its answer is what the demo itself finds, and asking changes nothing."""
    done = subprocess.run(
        [ROOT / "scripts" / "system-packages", "--missing"], capture_output=True, text=True, check=True
    )
    packages = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert [name for name in packages if "venv" not in name] == [
        part.package for part, there in REQUIRED if not there()
    ]


def test_waiting_names_what_did_not_happen() -> None:
    """A deadline that passes says what was waited for."""
    with pytest.raises(PartFailed, match="the moon rises"):
        wait_until(lambda: False, deadline_s=0, what="the moon rises")


def test_a_program_that_ends_at_its_start_shows_its_last_words(tmp_path: Path) -> None:
    """The message holds the end of the log, so that nobody needs to look for it."""
    with (
        pytest.raises(PartFailed, match="no such luck"),
        running(["sh", "-c", "echo no such luck; exit 3"], log=tmp_path / "log", ready=lambda: False),
    ):
        pytest.fail("the block must not begin")


def test_a_part_is_stopped_when_its_block_fails(tmp_path: Path) -> None:
    """An exception in the block stops the program all the same."""
    pids = []

    def fail() -> None:
        with running(["sleep", "600"], log=tmp_path / "log", ready=lambda: True) as pid:
            pids.append(pid)
            raise RuntimeError("oops")

    with pytest.raises(RuntimeError, match="oops"):
        fail()
    assert gone(pids[0])


@pytest.mark.skipif(find_program("setpriv") is None, reason="setpriv (util-linux) is missing")
def test_parts_end_when_the_demo_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves no time to stop anything; the kernel does it."""
    story = (
        "import sys, time; from pathlib import Path; from rollout.demo.processes import running\n"
        "with running(['sleep', '600'], log=Path(sys.argv[1]), ready=lambda: True) as pid:\n"
        "    print(pid, flush=True); time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", story, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    wait_until(
        lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", deadline_s=5, what="the child is the program itself"
    )
    parent.kill()
    parent.communicate()
    wait_until(lambda: gone(pid), deadline_s=5, what="the child ended")


@pytest.mark.real
def test_nginx_serves_what_is_included_and_reads_it_again(tmp_path: Path, needs: Needs) -> None:
    """A glob of included files, a reload by SIGHUP, and a port that is free again afterwards."""
    needs("nginx", "njs")
    port = free_port()
    conf = tmp_path / "conf.d"
    conf.mkdir()

    def serve(word: str) -> None:
        (conf / "site.conf").write_text(f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 {word}; }} }}")

    def answer() -> str:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=5).text

    serve("first")
    with nginx(tmp_path / "nginx", port=port, include=conf / "*.conf") as gateway:
        assert answer() == "first"
        serve("second")
        os.kill(gateway.pid, signal.SIGHUP)
        wait_until(lambda: answer() == "second", deadline_s=5, what="nginx serves the new file")
    assert gone(gateway.pid)
    assert not accepts(port)


@pytest.mark.real
def test_nginx_says_what_is_wrong_with_its_configuration(tmp_path: Path, needs: Needs) -> None:
    """The sentence is nginx's own, and nothing is left running."""
    needs("nginx")
    (tmp_path / "site.conf").write_text("nonsense;")
    with (
        pytest.raises(PartFailed, match='unknown directive "nonsense"'),
        nginx(tmp_path / "nginx", port=free_port(), include=tmp_path / "site.conf", njs=False),
    ):
        pytest.fail("the block must not begin")


@pytest.mark.real
def test_a_taken_port_is_told_before_nginx_is_tried(tmp_path: Path, needs: Needs) -> None:
    """The port that the included files are meant for must be free."""
    needs("nginx")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(PartFailed, match=f"port {port} of 127.0.0.1 is taken"),
            nginx(tmp_path / "nginx", port=port, include=tmp_path / "none.conf", njs=False),
        ):
            pytest.fail("the block must not begin")


@pytest.mark.real
def test_a_path_that_nginx_would_read_as_syntax_is_refused(tmp_path: Path, needs: Needs) -> None:
    """A directory's name never becomes a directive."""
    needs("nginx")
    with (
        pytest.raises(PartFailed, match="cannot stand in an nginx configuration"),
        nginx(tmp_path / "nginx", port=free_port(), include=tmp_path / '";evil;"', njs=False),
    ):
        pytest.fail("the block must not begin")


@pytest.mark.real
def test_prometheus_scrapes_targets_that_appear_later(
    tmp_path: Path, needs: Needs, chat: Callable[..., AbstractContextManager[str]]
) -> None:
    """The file may be written after the start; its labels come with the samples."""
    needs("prometheus")
    targets = tmp_path / "targets.json"
    with chat() as service_url, prometheus(tmp_path / "p", file_sd=targets, interval=timedelta(seconds=1)) as url:
        address = service_url.removeprefix("http://")
        targets.write_text(f'[{{"targets": ["{address}"], "labels": {{"service": "chat", "version": "canary"}}}}]')

        def scraped() -> bool:
            query = {"query": 'up{service="chat", version="canary"} == 1'}
            return bool(requests.get(f"{url}/api/v1/query", params=query, timeout=5).json()["data"]["result"])

        wait_until(scraped, deadline_s=20, what="Prometheus has scraped the service")


@pytest.mark.real
def test_an_image_built_here_runs_by_the_digest_of_the_registry(tmp_path: Path, needs: Needs) -> None:
    """Two releases differ in their digest, run as built, and leave no socket or mount behind."""
    needs("dockerd", "docker-registry", "ip")
    with container_engine(tmp_path / "engine") as engine, registry(tmp_path / "registry") as address:
        first = build_and_push(engine, address, name="chat", tag="v1", env={})
        second = build_and_push(engine, address, name="chat", tag="v2", env={"FAIL_HTTP": "1"})
        assert first != second
        port = free_port()
        client = docker.DockerClient(base_url=engine.url)
        try:
            container = client.containers.run(
                f"{address}/chat@{second}", detach=True, ports={"8080/tcp": ("127.0.0.1", port)}, read_only=True
            )
            wait_until(lambda: healthy(port), deadline_s=10, what="the container answers")
            answer = requests.get(f"http://127.0.0.1:{port}/", timeout=5)
            assert (answer.status_code, answer.headers["X-Release"]) == (500, "v2")
            container.stop(timeout=10)
            assert container.wait()["StatusCode"] == 0
            container.remove()
        finally:
            client.close()
    if engine.started:
        assert not Path(engine.url.removeprefix("unix://")).parent.exists()
        assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def healthy(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/api/health", timeout=1).ok
    except requests.ConnectionError:
        return False
