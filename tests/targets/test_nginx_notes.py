"""Files the target reads and writes: nothing half, nothing guessed, no secret shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.release import Release
from rollout.errors import ConfigurationError, MissingProgram, TargetFailed
from rollout.targets.nginx import files, memory
from rollout.targets.nginx.envfile import parse_env, read_env, redact
from rollout.targets.nginx.memory import Memory, Placed
from rollout.targets.nginx.settings import ContainerSettings
from rollout.targets.nginx.sockets import engine_url

RELEASE = Release(tag="v1", image="example.com/chat", digest="sha256:" + "0" * 64)
PLACED = Placed(release=RELEASE, rollout="r1", container="chat-production-r1", port=21000, ready=True)


def test_roles_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Every field."""
    roles = Memory(service="chat", environment="production", rollout="r1", stable=PLACED, reserve=PLACED)
    memory.save(tmp_path / "new" / "target.json", roles)
    assert memory.load(tmp_path / "new" / "target.json", service="chat", environment="production") == roles


@given(cut=st.integers(1, 400))
def test_torn_roles_block_and_stay_as_they_are(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """A part of the file is never taken for the whole."""
    path = tmp_path_factory.mktemp("torn") / "target.json"
    memory.save(path, Memory(service="chat", environment="production", rollout="r1", stable=PLACED))
    whole = path.read_text(encoding="utf-8").rstrip()
    torn = whole[: len(whole) - cut]
    path.write_text(torn, encoding="utf-8")
    with pytest.raises(TargetFailed, match="cannot be understood"):
        memory.load(path, service="chat", environment="production")
    assert path.read_text(encoding="utf-8") == torn


@pytest.mark.parametrize(
    "text",
    ['{"version": 2, "service": "chat", "environment": "production"}', "[]", "null", '{"service": "chat", "x": 1}'],
)
def test_roles_of_another_kind_block(tmp_path: Path, text: str) -> None:
    """A newer version as well."""
    (tmp_path / "target.json").write_text(text)
    with pytest.raises(TargetFailed, match="cannot be understood"):
        memory.load(tmp_path / "target.json", service="chat", environment="production")


def test_roles_of_another_service_are_refused(tmp_path: Path) -> None:
    """Two services must not share a directory."""
    memory.save(tmp_path / "target.json", Memory(service="mail", environment="production"))
    with pytest.raises(TargetFailed, match="belongs to mail"):
        memory.load(tmp_path / "target.json", service="chat", environment="production")


def test_a_file_is_replaced_whole_and_leaves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the rename, the old file stands."""
    path = tmp_path / "a.conf"
    files.replace(path, "old", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def fail(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(TargetFailed, match="No space left"):
        files.replace(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_env_file_is_read_line_by_line() -> None:
    """Comments, `export`, quotes, and values that hold `=` or `#`."""
    text = '# comment\n\nA=1\nexport B = two words \nC=\'quo"ted\'\nD="x"\nE=a=b#c\nF=\n'
    assert parse_env(text, name=".env") == {
        "A": "1",
        "B": "two words",
        "C": 'quo"ted',
        "D": "x",
        "E": "a=b#c",
        "F": "",
    }


def test_a_wrong_env_file_is_told_by_lines_and_never_by_values() -> None:
    """All the lines at once."""
    with pytest.raises(TargetFailed) as failed:
        parse_env("GOOD=1\nhunter2\n1BAD=hunter2\n", name=".env")
    assert "line 2" in str(failed.value)
    assert "line 3" in str(failed.value)
    assert "hunter2" not in str(failed.value)


def test_an_env_file_that_is_away_is_told_by_its_path(tmp_path: Path) -> None:
    """With what to do about it."""
    with pytest.raises(TargetFailed, match=r"missing\.env"):
        read_env(tmp_path / "missing.env")


def test_values_of_the_environment_are_struck_out() -> None:
    """Long ones only: striking out `1` would make a log unreadable."""
    environment = {"KEY": "hunter2", "LONGER": "hunter2-and-more", "DEBUG": "1"}
    assert redact("hunter2-and-more hunter2 1", environment) == "*** *** 1"


def test_the_engine_is_found_as_its_own_program_finds_it(tmp_path: Path) -> None:
    """The setting wins, then the environment; another machine's engine is refused."""
    plain = ContainerSettings(port=80)
    assert engine_url(plain, {"DOCKER_HOST": "unix:///run/x.sock"}) == "unix:///run/x.sock"
    chosen = ContainerSettings(port=80, socket="unix:///run/y.sock")
    assert engine_url(chosen, {"DOCKER_HOST": "unix:///run/x.sock"}) == "unix:///run/y.sock"
    with pytest.raises(ConfigurationError, match="another machine"):
        engine_url(plain, {"DOCKER_HOST": "ssh://user:hunter2@example.com"})
    with pytest.raises(MissingProgram):
        engine_url(ContainerSettings(port=80, engine="podman"), {"XDG_RUNTIME_DIR": str(tmp_path)})
