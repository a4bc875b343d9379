"""The locks hold what pyproject.toml asks for, with hashes, and nothing about where it came from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
GROUPS = PROJECT["dependency-groups"]
DEV = [one for one in (*GROUPS["dev"], *GROUPS["bench"]) if isinstance(one, str)]
BUILD = PROJECT["build-system"]["requires"]


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return {canonicalize_name(name): version for name, version in re.findall(r"^(\S+?)==([^\s;]+)", text, re.MULTILINE)}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [("runtime", RUNTIME), ("build", BUILD), ("dev", [*RUNTIME, *DEV, *BUILD])],
)
def test_the_lock_satisfies_every_requirement(lock: str, wanted: list[str]) -> None:
    """After a change of pyproject.toml, `make lock` has been run."""
    pinned = pins(lock)
    for line in wanted:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{line} is not in requirements/{lock}.txt: run `make lock`"
        assert pinned[name] in requirement.specifier, f"{name}=={pinned[name]} is not {line}: run `make lock`"


@pytest.mark.parametrize("lock", ["runtime", "build"])
def test_running_and_developing_use_the_same_versions(lock: str) -> None:
    """What was tested is what runs."""
    assert pins(lock).items() <= pins("dev").items()


@pytest.mark.parametrize("lock", ["runtime", "build", "dev"])
def test_the_lock_names_hashes_and_no_place(lock: str) -> None:
    """Every pin has a hash; no index, address or path of a machine is in the file."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    assert all("--hash=sha256:" in entry for entry in entries if "==" in entry)
    assert not re.search(r"https?:|--index|--extra|--find-links|file:|/home/|/root/", text)
