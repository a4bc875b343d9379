"""What digest a registry has under a tag, for targets that have no container engine to ask.

It speaks the registry's HTTP API v2 with the credentials of Docker's own configuration file, and pulls nothing.
Sources: https://distribution.github.io/distribution/spec/api/ and its pages on token authentication.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import requests

from rollout.core.release import DIGEST, TAG, Release
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.credentials import Credentials, credentials_for

MANIFEST_TYPES: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
"""An index comes before a manifest: its digest is right for every architecture."""

TIME_LIMIT: Final = (5.0, 20.0)
LARGEST_MANIFEST: Final = 4 << 20
"""The specification asks registries to bear manifests up to this size; longer ones are not read."""

_BUSY: Final = timedelta(seconds=30)
_DOCKER_HUB: Final = "registry-1.docker.io"
_LOOPBACK: Final = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?")
_PARAMETER: Final = re.compile(r'([A-Za-z_]+)="([^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where an image is kept."""

    registry: str
    """Host and port, such as `ghcr.io`."""
    path: str
    """Such as `example/lobechat`."""

    @property
    def url(self) -> str:
        """Where its requests go; without TLS only on this machine, as Docker does it."""
        scheme = "http" if _LOOPBACK.fullmatch(self.registry) else "https"
        return f"{scheme}://{self.registry}/v2/{self.path}"


def repository_of(image: str) -> Repository:
    """The registry and path that an image's name means; a name without a registry means Docker Hub."""
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
        if registry in ("docker.io", "index.docker.io"):
            registry = _DOCKER_HUB
            path = path if "/" in path else f"library/{path}"
        return Repository(registry=registry, path=path)
    return Repository(registry=_DOCKER_HUB, path=image if slash else f"library/{image}")


def resolve(image: str, tag: str, *, env: Mapping[str, str]) -> Release:
    """The release under a tag, pinned to the digest that the registry names now.

    `env` says where Docker's configuration is (DOCKER_CONFIG, HOME). Raises TargetFailed, and TargetBusy where a later
    try may succeed.
    """
    if not TAG.fullmatch(tag):
        raise TargetFailed(f"{tag[:140]!r} is not a tag", hint="Letters, digits, '_', '.' and '-', at most 128.")
    credentials = credentials_for(repository_of(image).registry, env=env)
    return Release(tag=tag, image=image, digest=digest_of(image, tag, credentials=credentials))


def digest_of(image: str, tag: str, *, credentials: Credentials | None = None) -> str:
    """`sha256:...`, as the registry names what is under the tag now. Raises TargetFailed or TargetBusy."""
    repository = repository_of(image)
    with requests.Session() as session:
        try:
            answer = _manifest(session, "HEAD", repository, tag, credentials)
            digest = answer.headers.get("Docker-Content-Digest", "")
            if not digest:  # the header is optional; the digest is that of the manifest's bytes
                answer = _manifest(session, "GET", repository, tag, credentials)
                digest = answer.headers.get("Docker-Content-Digest") or _digest_of_bytes(answer, repository)
        except requests.RequestException as silence:
            raise TargetBusy(
                f"the registry {repository.registry} does not answer ({type(silence).__name__})",
                hint="It is asked again; check its name in `image` if it stays away.",
            ) from None
    if not DIGEST.fullmatch(digest):
        raise TargetFailed(
            f"the registry gives {image}:{tag} a digest that is not sha256", hint="Push the image to it again."
        )
    return digest


def _manifest(
    session: requests.Session, method: str, repository: Repository, tag: str, credentials: Credentials | None
) -> requests.Response:
    """The registry's answer for the manifest under a tag, asked again with what it wants to see."""
    url = f"{repository.url}/manifests/{tag}"
    answer = _ask(session, method, url, authorization="")
    if answer.status_code == requests.codes.unauthorized:
        authorization = _authorization(session, answer, repository, credentials)
        answer = _ask(session, method, url, authorization=authorization)
    if answer.status_code != requests.codes.ok:
        raise _refusal(answer, repository, tag, credentials)
    return answer


def _ask(session: requests.Session, method: str, url: str, *, authorization: str) -> requests.Response:
    answer = session.request(
        method,
        url,
        headers={"Accept": MANIFEST_TYPES},
        auth=_Authorization(authorization),
        timeout=TIME_LIMIT,
        allow_redirects=True,
        stream=True,
    )
    if method == "HEAD" or answer.status_code != requests.codes.ok:
        answer.close()  # nobody reads it, and a session does not close what it has handed out
    return answer


class _Authorization(requests.auth.AuthBase):
    """The header and nothing else: without it, requests would put the password of a .netrc file in its place."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value:
            request.headers["Authorization"] = self._value
        return request


def _authorization(
    session: requests.Session, answer: requests.Response, repository: Repository, credentials: Credentials | None
) -> str:
    """What the registry asked for in its challenge: a token, or the password itself."""
    scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
    asked = dict(_PARAMETER.findall(rest))
    match scheme.lower():
        case "bearer" if asked.get("realm"):
            return f"Bearer {_token(session, asked, repository, credentials)}"
        case "basic" if credentials is not None and not credentials.is_token:
            return credentials.basic
        case _:
            return ""


def _token(
    session: requests.Session, asked: Mapping[str, str], repository: Repository, credentials: Credentials | None
) -> str:
    realm = asked["realm"]
    if urlsplit(realm).scheme != "https" and urlsplit(repository.url).scheme == "https":
        raise TargetFailed(
            f"the registry {repository.registry} wants the password sent without encryption",
            hint="Its token service (the realm of its challenge) must be at an https address.",
        )
    scope = {"service": asked.get("service", ""), "scope": f"repository:{repository.path}:pull"}
    if credentials is not None and credentials.is_token:
        form = {"grant_type": "refresh_token", "client_id": "rollout", "refresh_token": credentials.password, **scope}
        answer = session.post(realm, data=form, auth=_Authorization(""), timeout=TIME_LIMIT)
    else:
        basic = credentials.basic if credentials is not None else ""
        answer = session.get(realm, params=scope, auth=_Authorization(basic), timeout=TIME_LIMIT)
    if answer.status_code != requests.codes.ok:
        raise _refusal(answer, repository, "", credentials)
    try:
        said = answer.json()
    except ValueError:
        said = None
    token = (said.get("token") or said.get("access_token")) if isinstance(said, dict) else None
    if not isinstance(token, str) or not token.isprintable():
        raise TargetFailed(
            f"the token service of {repository.registry} gives no token", hint="Check `image` and the registry."
        )
    return token


def _refusal(
    answer: requests.Response, repository: Repository, tag: str, credentials: Credentials | None
) -> TargetFailed:
    image = f"{repository.registry}/{repository.path}" + (f":{tag}" if tag else "")
    match answer.status_code:
        case 404:
            return TargetFailed(f"the registry has no {image}", hint="Check that the image was pushed under this tag.")
        case 401 | 403:
            known = "with the credentials that Docker knows" if credentials is not None else "without credentials"
            return TargetFailed(
                f"the registry does not show {image} {known}",
                hint=f"Run `docker login {repository.registry}` first, or check the image's name: many registries "
                "answer so for images that do not exist.",
            )
        case 429:
            return TargetBusy(
                f"the registry {repository.registry} asks for patience",
                hint="Log in: it then allows more.",
                delay=_BUSY,
            )
        case status if status >= 500:
            return TargetBusy(f"the registry {repository.registry} is in trouble: HTTP {status}", hint="Try again.")
        case status:
            return TargetFailed(f"the registry answers for {image} with HTTP {status}", hint="Check `image`.")


def _digest_of_bytes(answer: requests.Response, repository: Repository) -> str:
    read = answer.raw.read(LARGEST_MANIFEST + 1, decode_content=True)
    if len(read) > LARGEST_MANIFEST:
        raise TargetFailed(f"the registry {repository.registry} sends no manifest", hint="Check `image`.")
    return f"sha256:{hashlib.sha256(read).hexdigest()}"
