"""The nginx target: containers behind one nginx on one machine, as the engine of a rollout sees them.

The order within every effect is what makes a killed call harmless: what is to be found again is noted first, the
running gateway is changed next, the roles are written down last, and nothing is stopped that the running gateway still
names. So each method can be called again at any point, and the running gateway always has a backend that is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from rollout.core.finding import Finding
from rollout.core.plan import NOTHING, Weight
from rollout.core.release import DIGEST, TAG, Release
from rollout.errors import RolloutError, TargetBusy, TargetFailed
from rollout.targets.base import Health, Instance, Seen
from rollout.targets.nginx import files, memory
from rollout.targets.nginx.blueprint import file_sd, gateway_of, secret
from rollout.targets.nginx.containers import Engine
from rollout.targets.nginx.diagnosis import diagnose
from rollout.targets.nginx.gateway import Traffic
from rollout.targets.nginx.memory import Memory, Placed
from rollout.targets.nginx.placement import Containers
from rollout.targets.nginx.program import Program
from rollout.targets.nginx.settings import NginxSettings
from rollout.targets.nginx.sockets import engine_url
from rollout.targets.nginx.status import Status, Unanswered
from rollout.targets.nginx.values import ID, Gateway


@dataclass(frozen=True)
class NginxTarget:
    """`rollout.targets.base.Target` on one machine. `clock` says what time it is, with a time zone."""

    settings: NginxSettings
    service: str
    environment: str
    image: str
    env: Mapping[str, str]
    """The environment of this process, for DOCKER_HOST and the like."""
    clock: Callable[[], datetime]

    def resolve(self, tag: str) -> Release:
        """See Target."""
        if not TAG.fullmatch(tag):
            raise TargetFailed(f"{tag[:140]!r} is not a tag", hint="Letters, digits, '_', '.' and '-', at most 128.")
        digest = self._containers.engine.digest(self.image, tag)
        if not DIGEST.fullmatch(digest):
            raise TargetFailed(f"the registry gives {self.image}:{tag} a digest that is not sha256")
        return Release(tag=tag, image=self.image, digest=digest)

    def look(self) -> Seen:
        """See Target. Raises TargetFailed only where our own notes cannot be understood."""
        roles = self._load()
        if not roles.placed and not self._gateway_was_made():
            return Seen(weight=NOTHING)
        status, problem = self._ask(roles)
        stable = roles.stable
        canary = roles.canary if roles.canary is not None and roles.canary.ready else None
        if status is not None:
            by_rollout = {each.rollout: each for each in roles.placed}
            stable = by_rollout.get(status.stable) if status.stable else None
            shown = by_rollout.get(status.canary) if status.canary else None
            canary = shown or (canary if canary is not stable else None)
            if any(name and name not in by_rollout for name in (status.stable, status.canary)):
                problem = "the running gateway serves a release that this target did not put there"
        reserve = next((each for each in (roles.reserve, roles.stable) if each not in (None, stable, canary)), None)
        return Seen(
            weight=status.weight if status is not None and not problem else None,
            stable=self._instance(stable),
            canary=self._instance(canary),
            reserve=reserve.release if reserve else None,
            problem=problem,
        )

    def deploy(self, release: Release, *, rollout: str) -> None:
        """See Target."""
        if not ID.fullmatch(rollout):
            raise TargetFailed(f"{rollout[:140]!r} cannot name a container: letters, digits, '_', '.' and '-'")
        roles = self._load()
        if roles.stable is not None and roles.stable.rollout == rollout:
            return
        if roles.canary is not None and roles.canary.rollout != rollout:
            roles = self._clear(roles, roles.canary)
        if roles.canary is None or roles.canary.release != release:
            if roles.canary is not None:
                raise TargetFailed(f"the rollout {rollout} has already deployed {roles.canary.release}")
            roles = replace(roles, rollout=rollout, canary=self._place(release, rollout))
            self._save(roles)
        elif self._is_deployed(roles, roles.canary):
            self._tell_prometheus(roles)
            return
        try:
            self._bring_up(roles)
        except RolloutError as failed:
            self._take_back(failed)
            raise

    def move(self, weight: Weight) -> None:
        """See Target."""
        roles = self._load()
        if roles.canary is None or not roles.canary.ready:
            if weight == NOTHING:
                return
            raise TargetFailed(f"there is no canary to give {weight} of the traffic to", hint="Deploy one first.")
        self._apply(roles, weight)

    def promote(self) -> None:
        """See Target."""
        roles = self._load()
        canary = roles.canary
        if canary is None:
            if roles.stable is None or roles.stable.rollout != roles.rollout:
                raise TargetFailed("there is no canary to promote", hint="Deploy one first.")
            self._tell_prometheus(roles)
            return
        match self._containers.health(canary):
            case Health.READY:
                pass
            case Health.UNREADY:
                raise TargetBusy(f"{canary.release} does not answer its health check, so it is not promoted")
            case Health.DEAD:
                raise TargetFailed(f"{canary.release} does not run, so it is not promoted")
        new = replace(roles, stable=canary, canary=None, reserve=roles.stable)
        self._apply(new, NOTHING)
        if roles.reserve is not None:
            self._containers.remove(roles.reserve)
        self._save(new)
        self._tell_prometheus(new)

    def roll_back(self, *, rollout: str) -> None:
        """See Target."""
        roles = self._load()
        if roles.canary is not None:
            if roles.canary.ready and roles.canary.rollout == rollout:
                self._turn_back(roles, roles.canary)
            return
        promoted, reserve = roles.stable, roles.reserve
        if promoted is None or reserve is None or promoted.rollout != rollout:
            return
        roles = self._make_ready(roles, reserve)
        new = replace(roles, stable=roles.reserve, canary=promoted, reserve=None)
        self._apply(new, NOTHING)
        self._save(new)
        self._tell_prometheus(new)

    def retire(self) -> None:
        """See Target."""
        roles = self._load()
        if roles.canary is not None:
            if not self._gives_traffic_to(roles, roles.canary):
                self._clear(roles, roles.canary)
        elif roles.reserve is not None:
            self._require_unused(roles, roles.reserve)
            self._containers.stop(roles.reserve)

    def discard(self) -> None:
        """See Target."""
        roles = self._load()
        if roles.reserve is not None:
            self._require_unused(roles, roles.reserve)
            self._containers.remove(roles.reserve)
            self._save(replace(roles, reserve=None))

    def logs(self, *, lines: int) -> str:
        """See Target."""
        roles = self._load()
        return self._containers.logs(self._container_name(roles.rollout), lines=lines) if roles.rollout else ""

    def diagnose(self) -> Iterator[Finding]:
        """See Target."""
        yield from diagnose(
            self.settings,
            service=self.service,
            environment=self.environment,
            traffic=self._traffic,
            env=self.env,
        )

    def tester_key(self) -> str:
        """What tester tokens are signed with: the configured key, else the one made for this service."""
        testers = self.settings.testers
        if testers is not None and testers.key is not None:
            return testers.key.get_secret_value()
        return secret(self._directory / "tester.key")

    # The parts of the effects.

    def _turn_back(self, roles: Memory, canary: Placed) -> None:
        """All traffic from the canary to stable, at once where its port answers.

        Who it was that answered is asked afterwards, because the engine is slow; users are better off meanwhile.
        """
        stable = roles.stable
        if stable is not None and self._gives_traffic_to(roles, canary) and not self._containers.answers(stable):
            roles = self._make_ready(roles, stable)
        self._apply(roles, NOTHING)
        if roles.stable is not None and self._containers.health(roles.stable) is not Health.READY:
            roles = self._make_ready(roles, roles.stable)
            self._apply(roles, NOTHING)
        self._tell_prometheus(roles)

    def _bring_up(self, roles: Memory) -> None:
        def note(placed: Placed) -> None:
            nonlocal roles
            roles = replace(roles, canary=placed)
            self._save(roles)

        if roles.canary is None:
            raise TargetFailed("there is no canary to start")
        placed = self._containers.start(roles.canary, taken=roles.ports, note=note)
        roles = replace(roles, canary=replace(placed, ready=True))
        self._apply(roles, NOTHING)
        self._save(roles)
        self._tell_prometheus(roles)

    def _take_back(self, failed: RolloutError) -> None:
        """Leave nothing running of a canary whose deployment failed."""
        roles = self._load()
        if roles.canary is None:
            return
        try:
            self._clear(roles, roles.canary)
        except RolloutError as also:
            failed.hint = f"{failed.hint}\n  It could not be cleaned up either: {also.message}".strip()

    def _is_deployed(self, roles: Memory, canary: Placed) -> bool:
        """Whether the deployment was finished and stands, at whatever weight."""
        if not canary.ready:
            return False
        there = self._containers.engine.look(canary.container)
        status, _ = self._ask(roles)
        return there is not None and there.runs and status is not None and status.canary == canary.rollout

    def _clear(self, roles: Memory, canary: Placed) -> Memory:
        """Take a canary that gets no traffic out of the gateway, then away. One that was never ready never got any."""
        if canary.ready and self._gives_traffic_to(roles, canary):
            raise TargetFailed(
                f"{canary.release} of rollout {canary.rollout} still gets traffic",
                hint="Abort that rollout first.",
            )
        new = replace(roles, canary=None)
        if self._ask(roles)[0] is not None or (canary.ready and self._gateway_was_made()):
            self._apply(new, NOTHING)
        self._tell_prometheus(new)
        self._containers.remove(canary)
        self._save(new)
        return new

    def _gives_traffic_to(self, roles: Memory, placed: Placed) -> bool:
        """Whether the running gateway sends users there. Raises TargetBusy where it cannot be asked."""
        status, problem = self._ask(roles)
        if status is None:
            if not self._gateway_was_made():
                return False
            raise TargetBusy(
                f"nothing is stopped while it is unknown what nginx serves: {problem}",
                hint="Start nginx, or look into its error log.",
            )
        return status.stable == placed.rollout or (status.canary == placed.rollout and status.weight != NOTHING)

    def _require_unused(self, roles: Memory, placed: Placed) -> None:
        if self._gives_traffic_to(roles, placed):
            raise TargetBusy(f"the running gateway still sends users to {placed.release}")

    def _make_ready(self, roles: Memory, placed: Placed) -> Memory:
        """Have a version that traffic is about to go to; the roles, as it may have moved to another port.

        Raises TargetBusy where it is not ready in time.
        """

        def note(moved: Placed) -> None:
            nonlocal roles
            roles = roles.moved(moved)
            self._save(roles)

        try:
            self._containers.revive(placed, taken=roles.ports, note=note)
        except TargetBusy:
            raise
        except TargetFailed as failed:
            raise TargetBusy(f"traffic stays where it is: {failed.message}", hint=failed.hint) from failed
        return roles

    def _apply(self, roles: Memory, weight: Weight) -> None:
        self._traffic.apply(self._gateway(roles), weight, today=self.clock().astimezone().date())

    # What is known, and how it is called.

    def _instance(self, placed: Placed | None) -> Instance | None:
        if placed is None:
            return None
        standing = self._containers.standing(placed)
        return Instance(
            release=placed.release,
            health=standing.health,
            url=f"http://127.0.0.1:{placed.port}",
            restarts=standing.restarts,
            ready=1 if standing.health is Health.READY else 0,
        )

    def _ask(self, roles: Memory) -> tuple[Status | None, str]:
        try:
            status = self._traffic.status(self._gateway(roles))
        except Unanswered as silence:
            return None, str(silence)
        return status, status.problem

    def _gateway_was_made(self) -> bool:
        return self._traffic.head() is not None

    def _gateway(self, roles: Memory) -> Gateway:
        return gateway_of(
            self.settings,
            roles,
            directory=self._directory,
            tester_key=self.tester_key() if self.settings.testers else "",
        )

    def _tell_prometheus(self, roles: Memory) -> None:
        path = self.settings.file_sd_path(service=self.service, environment=self.environment)
        text = file_sd(roles)
        if files.read(path) != text:
            files.directory(path.parent)
            files.replace(path, text)

    def _place(self, release: Release, rollout: str) -> Placed:
        return Placed(release=release, rollout=rollout, container=self._container_name(rollout), port=0)

    def _container_name(self, rollout: str) -> str:
        return f"{self.service}-{self.environment}-{rollout}"

    def _load(self) -> Memory:
        return memory.load(self._directory / "target.json", service=self.service, environment=self.environment)

    def _save(self, roles: Memory) -> None:
        memory.save(self._directory / "target.json", roles)

    @property
    def _directory(self) -> Path:
        return self.settings.state_directory(service=self.service, environment=self.environment)

    @cached_property
    def _traffic(self) -> Traffic:
        settings = self.settings
        return Traffic(
            program=Program(binary=settings.nginx, config=settings.nginx_config, prefix=settings.nginx_prefix),
            include=settings.include,
            directory=self._directory / "gateway",
            njs={"auto": None, "on": True, "off": False}[settings.njs],
        )

    @cached_property
    def _containers(self) -> Containers:
        return Containers(
            engine=Engine(engine_url(self.settings.container, self.env)),
            settings=self.settings.container,
            metrics_port=self.settings.metrics_port,
            labels={"rollout.service": self.service, "rollout.environment": self.environment},
            log_directory=self._directory / "logs",
            clock=self.clock,
        )
