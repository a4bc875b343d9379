"""What stands under `target: nginx:` in rollout.yml, refused early where it could not stand in an nginx file.

Every text that ends in a generated file is held to a strict pattern here. No file is read and nothing is started.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from rollout.settings import Duration

_PATH: Final = re.compile(r"/[A-Za-z0-9_./@+-]+")
_NAME: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?")
_ENGINE_URL: Final = re.compile(r"unix:///[A-Za-z0-9_./@+-]+")
_VOLUME: Final = re.compile(r"[^:\s]+:/[^:\s]*(?::(?:ro|rw))?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _listen(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{value!r} does not end in a port from 1 to 65535, as in 127.0.0.1:8080 or 80")
    if separator and host != "*":
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            address = ipaddress.ip_address(bare)
        except ValueError:
            raise ValueError(f"{host!r} is not an address to listen on, such as 127.0.0.1 or [::1]") from None
        if (address.version == 6) != host.startswith("["):
            raise ValueError(f"{host!r}: an IPv6 address stands in brackets, an IPv4 address does not")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a server name: letters, digits, '.', '-' and '_'")
    return value


def _absolute(value: Path) -> Path:
    if not _PATH.fullmatch(str(value)) or ".." in value.parts:
        raise ValueError(
            f"{str(value)!r} cannot stand in an nginx file: an absolute path of letters, digits and . _ - + @ /"
        )
    return value


def _engine_url(value: str) -> str:
    if not _ENGINE_URL.fullmatch(value):
        raise ValueError(f"{value!r} is not the URL of a local socket, such as unix:///var/run/docker.sock")
    return value


def _volume(value: str) -> str:
    if not _VOLUME.fullmatch(value):
        raise ValueError(f"{value!r} is not a volume: write source:/destination or source:/destination:ro")
    return value


def _ports(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", value)
    if found is None or not 1024 <= int(found[1]) < int(found[2]) <= 65535:
        raise ValueError(f"{value!r} is not a range of ports: two numbers from 1024 to 65535, such as 21000-21999")
    return value


def _many(value: object) -> object:
    return (value,) if isinstance(value, str) else value


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Listen = Annotated[str, AfterValidator(_listen)]
ServerName = Annotated[str, AfterValidator(_name)]
HttpPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9_.~/?=&%+-]*$", max_length=512)]
CookieName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,64}$")]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}[bkmgBKMG]?$", examples=["512m", "2g"])]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ContainerSettings(_Settings):
    """How the service's container runs."""

    engine: Literal["auto", "docker", "podman"] = Field(
        "auto", description="The container engine; auto takes the first of Docker and Podman that answers."
    )
    socket: Annotated[str, AfterValidator(_engine_url)] | None = Field(
        None,
        description="The engine's socket, such as unix:///run/podman/podman.sock. Left out: DOCKER_HOST, else the "
        "engine's usual place.",
    )
    port: int = Field(ge=1, le=65535, description="The port the service listens on inside the container.")
    health: HttpPath | None = Field(
        None,
        description="The path that answers 2xx once the service is ready. Left out: any HTTP answer to / counts.",
        examples=["/api/health"],
    )
    health_timeout: Duration = Field(
        timedelta(seconds=60), description="How long a new container may take to become ready."
    )
    stop_timeout: Duration = Field(
        timedelta(seconds=10), description="How long a container has to end after SIGTERM before it is killed."
    )
    env_file: Path | None = Field(
        None, description="A file of KEY=VALUE lines with the service's environment; its values are never printed."
    )
    env: dict[str, str] = Field(
        default_factory=dict, repr=False, description="More environment variables; they win over env_file."
    )
    memory: Size | None = Field(None, description="The memory limit.")
    cpus: float | None = Field(None, gt=0, le=1024, description="The CPU limit, in cores.", examples=[1.5])
    command: tuple[str, ...] | None = Field(None, description="Replaces the image's command.")
    user: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)?$",
        description="The user inside the container.",
        examples=["1000:1000"],
    )
    volumes: tuple[Annotated[str, AfterValidator(_volume)], ...] = Field(
        (), description="Volumes, each source:/destination or source:/destination:ro.", examples=[["uploads:/data"]]
    )
    network: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="The engine's network. Left out: its bridge. With host, the service must listen on $PORT.",
    )
    ports: Annotated[str, BeforeValidator(_ports)] = Field(
        "21000-21999", description="The loopback ports that containers may take on this machine."
    )

    @model_validator(mode="after")
    def _names_are_variables(self) -> Self:
        for name in self.env:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"env: {name!r} is not the name of a variable: letters, digits and '_'")
        return self

    @property
    def port_range(self) -> range:
        """The loopback ports that containers may take."""
        first, last = self.ports.split("-")
        return range(int(first), int(last) + 1)


class StickySettings(_Settings):
    """How a user is known again, so that one keeps one's version."""

    cookie: CookieName | None = Field(
        None,
        description="The cookie that names a user: set when absent, any value counts. Left out: <service>_uid.",
        examples=["lobechat_uid"],
    )
    max_age: Duration = Field(timedelta(days=30), description="How long the cookie lasts.")


class TesterSettings(_Settings):
    """How testers reach a version whatever its weight is."""

    cookie: CookieName | None = Field(None, description="The cookie that carries a tester's token.")
    header: HeaderName = Field("X-Rollout-Version", description="The request header that carries a tester's token.")
    domain: ServerName | None = Field(
        None,
        description="A server name that always shows the canary, to anybody who knows it.",
        examples=["beta.chat.example.com"],
    )
    key: SecretStr | None = Field(
        None,
        min_length=16,
        description="What tokens are signed with, such as ${TESTER_KEY}. Left out: made once and kept in `state`.",
    )


class NginxSettings(_Settings):
    """One machine with nginx and a container engine."""

    include: AbsolutePath = Field(
        description="The one nginx file that belongs to the rollout. The http block of nginx.conf includes it.",
        examples=["/etc/nginx/rollout.d/lobechat.conf"],
    )
    listen: Annotated[tuple[Listen, ...], BeforeValidator(_many), Field(min_length=1)] = Field(
        ("127.0.0.1:8080",),
        description="Where the gateway listens: one address or several, such as 127.0.0.1:8080 or 80.",
        json_schema_extra={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    )
    server_name: Annotated[tuple[ServerName, ...], BeforeValidator(_many), Field(min_length=1)] = Field(
        ("_",),
        description="The server names it answers for; _ is every name that no other server on that address has.",
        json_schema_extra={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    )
    nginx: str = Field("nginx", min_length=1, description="The nginx program.")
    nginx_config: AbsolutePath | None = Field(
        None, description="The main configuration file, as with nginx -c. Left out: the one nginx was built with."
    )
    nginx_prefix: AbsolutePath | None = Field(None, description="The prefix path, as with nginx -p.")
    njs: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether weights change through njs, without a reload; auto uses njs where nginx has it.",
    )
    container: ContainerSettings = Field(description="How the service's container runs.")
    sticky: StickySettings = Field(
        default_factory=StickySettings, description="How a user is known again, so that one keeps one's version."
    )
    testers: TesterSettings | None = Field(None, description="How testers reach a version whatever its weight is.")
    read_timeout: Duration = Field(
        timedelta(minutes=5), description="How long the service may be silent within an answer."
    )
    max_body: Size = Field("100m", description="The largest request body.")
    access_log: AbsolutePath | None = Field(
        None, description="The JSON access log. Left out: /var/log/nginx/rollout-<service>.json."
    )
    state: AbsolutePath | None = Field(
        None, description="Where the target finds its work again. Left out: /var/lib/rollout/<service>-<environment>."
    )
    file_sd: AbsolutePath | None = Field(
        None, description="The file that tells Prometheus where the containers are. Left out: <state>/targets.json."
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="The port inside the container with /metrics, where it is not `port`."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.metrics_port is not None and self.container.network == "host":
            raise ValueError("metrics_port: with network host both versions would listen on the same metrics port")
        if self.metrics_port == self.container.port:
            raise ValueError("metrics_port: leave it out where it is the same as container.port")
        if not str(self.include).endswith(".conf"):
            raise ValueError("include: the file's name ends in .conf, as nginx.conf usually includes *.conf")
        return self

    def access_log_path(self, *, service: str) -> Path:
        """Where the JSON access log is written; the `access_log` source reads it there."""
        return self.access_log or Path(f"/var/log/nginx/rollout-{service}.json")

    def state_directory(self, *, service: str, environment: str) -> Path:
        """Where the target keeps what it needs to find its work again."""
        return self.state or Path(f"/var/lib/rollout/{service}-{environment}")

    def file_sd_path(self, *, service: str, environment: str) -> Path:
        """The file_sd file for Prometheus."""
        return self.file_sd or self.state_directory(service=service, environment=environment) / "targets.json"
