"""Container images made without a download: this machine's Python as the base, the chat-like service on top.

A base image from a public registry would need the internet; the interpreter is here already.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from rollout.core.release import DIGEST
from rollout.demo import service
from rollout.demo.engine import Engine
from rollout.demo.processes import PartFailed

BASE: Final = "localhost/rollout-demo-base"
"""With a host, because Podman looks for short names in public registries."""
CHUNK: Final = 1 << 20
LEFT_OUT: Final = frozenset(
    {
        "__pycache__",
        "dist-packages",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "sitecustomize.py",
        "sqlite3",
        "test",
        "tests",
        "tkinter",
        "turtledemo",
        "unittest",
    }
)
"""Parts of the standard library that a service does not need: half of its size."""
MANIFEST_TYPES: Final = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
    )
)
FACTS: Final = """
import json, os, sys, sysconfig
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "version": sys.version_info[:2],
    "folders": sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}),
}))
"""


def build_and_push(engine: Engine, registry: str, *, name: str, tag: str, env: Mapping[str, str]) -> str:
    """Build the demo's service with this environment, push it as `registry/name:tag`; the digest the registry gives it.

    `RELEASE` is the tag unless `env` says otherwise. The tag is removed from the engine again: who deploys it pulls
    it. Raises PartFailed.
    """
    reference = f"{registry}/{name}"
    client = docker.DockerClient(base_url=engine.url, timeout=120)
    try:
        base = _base(client)
        content = _build_context(base, env={"RELEASE": tag, **env})
        client.images.build(fileobj=content, custom_context=True, tag=f"{reference}:{tag}", rm=True, forcerm=True)
        _push(client, reference, tag)
        client.images.remove(f"{reference}:{tag}")
    except DockerException as error:
        raise PartFailed(f"the image {name}:{tag} cannot be built or pushed", hint=str(error)) from error
    finally:
        client.close()
    return _digest(registry, name, tag)


def _base(client: docker.DockerClient) -> str:
    """The base image of this machine's Python, imported only where the engine does not have it yet."""
    with _root_file_system() as (archive, fingerprint):
        reference = f"{BASE}-{fingerprint[:16]}"  # not in the tag: Podman's import ignores it
        try:
            client.images.get(reference)
        except ImageNotFound:
            # An iterator, not the file: the client announces chunks, and only sends chunks for an iterator.
            chunks = iter(lambda: archive.read(CHUNK), b"")
            client.api.import_image_from_stream(chunks, repository=reference, tag="latest")
        return reference


def _build_context(base: str, *, env: Mapping[str, str]) -> IO[bytes]:
    program = Path(service.__file__).read_bytes()
    dockerfile = "\n".join(
        (
            f"FROM {base}",
            "COPY service.py /app/service.py",
            *(f"ENV {name}={json.dumps(value)}" for name, value in sorted(env.items())),
            "USER 65534:65534",
            "EXPOSE 8080",
            f"CMD {json.dumps([str(_interpreter()[0]), '-I', '-S', '-B', '/app/service.py'])}",
        )
    )
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in (("Dockerfile", dockerfile.encode()), ("service.py", program)):
            archive.addfile(_entry(PurePosixPath(name), size=len(data)), io.BytesIO(data))
    content.seek(0)
    return content


def _push(client: docker.DockerClient, reference: str, tag: str) -> None:
    for line in client.images.push(reference, tag=tag, stream=True, decode=True):
        if "error" in line:
            raise PartFailed(f"{reference}:{tag} cannot be pushed", hint=str(line["error"]))


def _digest(registry: str, name: str, tag: str) -> str:
    """The digest under which the registry serves the image: layers are packed anew on their way, so no other counts."""
    answer = requests.head(
        f"http://{registry}/v2/{name}/manifests/{tag}", headers={"Accept": MANIFEST_TYPES}, timeout=10
    )
    digest = answer.headers.get("Docker-Content-Digest", "")
    if not answer.ok or not DIGEST.fullmatch(digest):
        raise PartFailed(f"the registry has no digest for {name}:{tag}: it answers {answer.status_code}")
    return digest


@contextmanager
def _root_file_system() -> Iterator[tuple[IO[bytes], str]]:
    """An archive with the interpreter, its standard library and the shared libraries of both; and its SHA-256.

    The same machine gives the same bytes: sorted names, no times, no owners.
    """
    executable, folders = _interpreter()
    files = {executable, *(file for folder in folders for file in _library_files(folder))}
    files |= _shared_libraries(sorted(file for file in files if file == executable or file.suffix == ".so"))
    with tempfile.TemporaryFile() as content:
        with tarfile.open(fileobj=content, mode="w") as archive:
            for file in sorted(files):
                _add(archive, file)
            archive.addfile(_entry(PurePosixPath("tmp"), kind=tarfile.DIRTYPE, mode=0o1777))
        content.seek(0)
        fingerprint = hashlib.file_digest(content, "sha256").hexdigest()
        content.seek(0)
        yield content, fingerprint


def _interpreter() -> tuple[Path, tuple[Path, ...]]:
    """The system's Python where it is new enough, else the one that runs this; with its library's folders."""
    own = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (Path("/usr/bin/python3"), own):
        if candidate.exists():
            done = subprocess.run(
                [candidate, "-I", "-c", FACTS], capture_output=True, text=True, timeout=30, check=True
            )
            facts = json.loads(done.stdout)
            if tuple(facts["version"]) >= (3, 11):
                return Path(facts["executable"]), tuple(map(Path, facts["folders"]))
    raise PartFailed("no Python was found to put into the demo's images", hint="install the package python3")


def _library_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in LEFT_OUT or path.name.startswith("config-"):
            continue
        if path.is_dir():
            yield from _library_files(path)
        elif path.is_file() and path.suffix != ".a":
            yield path


def _shared_libraries(binaries: list[Path]) -> set[Path]:
    """Every library that the dynamic linker would load for these, the linker itself included."""
    done = subprocess.run(["ldd", *binaries], capture_output=True, text=True, timeout=60, check=False)
    words = (word for line in done.stdout.splitlines() if line.startswith("\t") for word in line.split())
    return {Path(word) for word in words if word.startswith("/")}


def _add(archive: tarfile.TarFile, file: Path) -> None:
    data = file.read_bytes()
    mode = 0o755 if file.stat().st_mode & 0o100 else 0o644
    archive.addfile(_entry(PurePosixPath(file).relative_to("/"), size=len(data), mode=mode), io.BytesIO(data))


def _entry(name: PurePosixPath, *, size: int = 0, mode: int = 0o644, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(str(name))
    entry.size, entry.mode, entry.type = size, mode, kind
    return entry
