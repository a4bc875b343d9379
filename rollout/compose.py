"""From a configuration to the parts that carry it out: the only place that knows every adapter by name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import assert_never

from rollout.checks import Check, run_checks
from rollout.config import Configuration
from rollout.core.events import CheckResult
from rollout.core.plan import Plan
from rollout.core.waves import in_one
from rollout.errors import ConfigurationError
from rollout.evidence import files
from rollout.evidence.values import Evidence
from rollout.journals.file import FileJournal
from rollout.metrics.access_log import AccessLogSource
from rollout.metrics.base import Source
from rollout.metrics.prometheus import PrometheusSource
from rollout.metrics.settings import AccessLogSettings, PrometheusSettings
from rollout.targets.argo.settings import ArgoSettings
from rollout.targets.base import Target
from rollout.targets.command.settings import CommandSettings
from rollout.targets.kubernetes.settings import KubernetesSettings
from rollout.targets.nginx import tokens
from rollout.targets.nginx.settings import NginxSettings
from rollout.targets.nginx.target import NginxTarget
from rollout.targets.waves import Wave, WaveTarget


def target_of(configuration: Configuration, env: Mapping[str, str], *, clock: Callable[[], datetime]) -> Target:
    """The target that the configuration names."""
    settings = configuration.target
    match settings:
        case NginxSettings():
            return _nginx(configuration, settings, env, clock)
        case KubernetesSettings() | ArgoSettings():
            return _clusters(configuration, settings, env, clock)
        case CommandSettings():
            return _command(configuration, settings, env)
        case _:
            assert_never(settings)


def tester_token(
    configuration: Configuration,
    env: Mapping[str, str],
    *,
    version: tokens.Version,
    expires: date,
    clock: Callable[[], datetime],
) -> str:
    """A token that lets a tester reach a version whatever its weight is. Raises ValueError for a date out of range."""
    settings = configuration.target
    match settings:
        case NginxSettings():
            key = _nginx(configuration, settings, env, clock).tester_key()
            service = configuration.plan.service
            return tokens.issue(
                key, service=service, version=version, expires=expires, today=clock().astimezone().date()
            )
        case _:
            raise ConfigurationError(
                f"the target {configuration.target_name} knows no testers' tokens",
                hint="its own gateway says how a tester reaches a version",
            )


def _nginx(
    configuration: Configuration, settings: NginxSettings, env: Mapping[str, str], clock: Callable[[], datetime]
) -> NginxTarget:
    plan = configuration.plan
    return NginxTarget(
        settings=_beside_the_file(settings, configuration.path),
        service=plan.service,
        environment=plan.environment,
        image=configuration.image,
        env=env,
        clock=clock,
    )


def _clusters(
    configuration: Configuration,
    settings: KubernetesSettings | ArgoSettings,
    env: Mapping[str, str],
    clock: Callable[[], datetime],
) -> Target:
    """One cluster, or several one after the other."""
    waves = configuration.waves
    if not waves:
        return _cluster(configuration, settings, configuration.plan, env, clock)
    return WaveTarget(
        tuple(
            Wave(
                name=wave.name,
                target=_cluster(
                    configuration,
                    settings.model_copy(
                        update={
                            "context": wave.context or settings.context,
                            "kubeconfig": wave.kubeconfig or settings.kubeconfig,
                        }
                    ),
                    in_one(configuration.plan, at, len(waves)),
                    env,
                    clock,
                ),
            )
            for at, wave in enumerate(waves)
        )
    )


def _cluster(
    configuration: Configuration,
    settings: KubernetesSettings | ArgoSettings,
    plan: Plan,
    env: Mapping[str, str],
    clock: Callable[[], datetime],
) -> Target:
    match settings:
        case KubernetesSettings():
            from rollout.targets.kubernetes.target import KubernetesTarget  # noqa: PLC0415 - brings its client

            return KubernetesTarget(
                settings=settings,
                service=plan.service,
                environment=plan.environment,
                image=configuration.image,
                env=env,
                clock=clock,
                sleep=time.sleep,
            )
        case ArgoSettings():
            from rollout.targets.argo.components import argo_target  # noqa: PLC0415 - brings the client of Kubernetes
            from rollout.targets.kubernetes.client import Login, connect  # noqa: PLC0415 - see above

            login = Login(kubeconfig=settings.kubeconfig, context=settings.context, in_cluster=settings.in_cluster)
            return argo_target(
                settings=settings,
                cluster=connect(login, env=env),
                image=configuration.image,
                weights=tuple(step.weight for step in plan.steps),
                env=env,
                sleep=time.sleep,
                monotonic=time.monotonic,
            )
        case _:
            assert_never(settings)


def _command(configuration: Configuration, settings: CommandSettings, env: Mapping[str, str]) -> Target:
    from rollout.targets.command.target import CommandTarget  # noqa: PLC0415 - only this target pays for it

    plan = configuration.plan
    directory = configuration.path.parent / (settings.directory or "")
    return CommandTarget(
        settings=settings.model_copy(update={"directory": directory}),
        service=plan.service,
        environment=plan.environment,
        image=configuration.image,
        env=env,
    )


def source_of(configuration: Configuration) -> Source:
    """The source of metrics that the configuration names."""
    settings, plan = configuration.metrics, configuration.plan
    match settings:
        case PrometheusSettings():
            return PrometheusSource(settings)
        case AccessLogSettings():
            assert isinstance(configuration.target, NginxSettings)  # the rules ask for it
            log = configuration.target.access_log_path(service=plan.service)
            return AccessLogSource(settings, service=plan.service, path=log)
        case _:
            assert_never(settings)


def _beside_the_file(settings: NginxSettings, path: Path) -> NginxSettings:
    """Relative paths of rollout.yml count from where it lies, whatever directory the command was typed in."""
    env_file = settings.container.env_file
    if env_file is None:
        return settings
    container = settings.container.model_copy(update={"env_file": path.parent / env_file})
    return settings.model_copy(update={"container": container})


class ConfiguredChecks:
    """The checks of the configuration, with the environment their programs get."""

    def __init__(self, checks: tuple[Check, ...], env: Mapping[str, str]) -> None:
        self._checks = checks
        self._env = {name: value for name, value in env.items() if not _is_the_runners_own(name)}

    def __call__(self, *, canary: str, stable: str | None) -> tuple[CheckResult, ...]:
        """Run them all against the two addresses; one that fails is a result and no exception."""
        return run_checks(self._checks, canary_url=canary, stable_url=stable, env=self._env)


def _is_the_runners_own(name: str) -> bool:
    """What a workflow gives to rollout and a check has no business with."""
    return name in ("GITHUB_TOKEN", "GH_TOKEN") or name.startswith(("ACTIONS_", "INPUT_"))


def journal_of(configuration: Configuration, *, root: Path | None, env: Mapping[str, str]) -> FileJournal:
    """The journal of the service and environment, below `root` or where journals are on this machine."""
    return FileJournal(journal_directory(configuration, root=root, env=env))


def journal_directory(configuration: Configuration, *, root: Path | None, env: Mapping[str, str]) -> Path:
    """Where the journal of the service and environment lies."""
    plan = configuration.plan
    return (root or default_root(env)) / plan.service / plan.environment


class Keeper:
    """Keeps evidence beside the journal. Where it cannot, it says so, and whoever asked goes on."""

    def __init__(self, directory: Path, *, complain: Callable[[str], None]) -> None:
        self._directory = directory
        self._complain = complain

    def __call__(self, evidence: Evidence) -> None:
        """Write one file."""
        try:
            files.write(self._directory, evidence)
        except (OSError, ValueError) as wrong:
            why = (wrong.strerror if isinstance(wrong, OSError) else None) or type(wrong).__name__
            self._complain(f"the evidence of this verdict is not kept in {self._directory}: {why}; the rollout goes on")


def keeper_of(
    configuration: Configuration, *, root: Path | None, env: Mapping[str, str], complain: Callable[[str], None]
) -> Keeper:
    """Keeps the evidence of each decision in `evidence`, beside the journal."""
    return Keeper(journal_directory(configuration, root=root, env=env) / "evidence", complain=complain)


def default_root(env: Mapping[str, str]) -> Path:
    """Where journals are: $ROLLOUT_JOURNAL, else /var/lib/rollout/journal for root, else the user's state directory."""
    if env.get("ROLLOUT_JOURNAL"):
        return Path(env["ROLLOUT_JOURNAL"])
    if os.geteuid() == 0:
        return Path("/var/lib/rollout/journal")
    home = env.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "rollout" / "journal"
