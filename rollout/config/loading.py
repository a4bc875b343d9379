"""From the file to a Configuration: read, expand, check and build, and one error that names every mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, assert_never

from pydantic import ValidationError

from rollout.checks import Check
from rollout.config import rules
from rollout.config.document import LARGEST, Document, Mistake, read
from rollout.config.file import File, WaveSection
from rollout.config.github import GitHubSection
from rollout.config.planning import Unfit, plan_of
from rollout.config.reduced import policy_alone
from rollout.config.variables import Expanded, expand
from rollout.config.wording import explain
from rollout.core.language import Language
from rollout.core.pacing import Supersede
from rollout.core.plan import Plan
from rollout.errors import ConfigurationError
from rollout.metrics.settings import AccessLogSettings, PrometheusSettings
from rollout.notify.settings import ChannelSettings
from rollout.targets.argo.settings import ArgoSettings
from rollout.targets.command.settings import CommandSettings
from rollout.targets.kubernetes.settings import KubernetesSettings
from rollout.targets.nginx.settings import NginxSettings

TargetSettings = NginxSettings | KubernetesSettings | ArgoSettings | CommandSettings
MetricsSettings = PrometheusSettings | AccessLogSettings
TARGETS: Final[Mapping[str, type[TargetSettings]]] = {
    "nginx": NginxSettings,
    "kubernetes": KubernetesSettings,
    "argo": ArgoSettings,
    "command": CommandSettings,
}
"""Each target by its key under `target`."""

MOST_SHOWN = 100
"""Mistakes; who has more has given another file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What rollout.yml says, checked: the plan, and the settings of the adapters that carry it out."""

    path: Path
    plan: Plan
    image: str
    """The repository of the image, without tag and digest."""
    target: TargetSettings
    metrics: MetricsSettings
    checks: tuple[Check, ...] = ()
    notify: tuple[ChannelSettings, ...] = ()
    waves: tuple[WaveSection, ...] = ()
    """Clusters in their order; empty where there is one place."""
    supersede: Supersede = Supersede.QUEUE
    github: GitHubSection = field(default_factory=GitHubSection)
    language: Language = Language.EN

    @property
    def target_name(self) -> str:
        """The key under `target` that names the adapter."""
        return next(name for name, kind in TARGETS.items() if isinstance(self.target, kind))

    @property
    def metrics_name(self) -> Literal["prometheus", "access_log"]:
        """The key under `metrics` that names the adapter."""
        match self.metrics:
            case PrometheusSettings():
                return "prometheus"
            case AccessLogSettings():
                return "access_log"
            case _:
                assert_never(self.metrics)


def load(path: Path, *, env: Mapping[str, str]) -> Configuration:
    """Read a rollout.yml, with `${NAME}` taken from `env`.

    Raises ConfigurationError, whose message has a line `rollout.yml:12:5: steps[2].weight: what is wrong` for every
    mistake in the order of the file, each with what to do about it. Values from `env` are not in it.
    """
    return parse(_text_of(path), path=path, env=env)


def load_plan(path: Path) -> Plan:
    """Only the policy of a rollout.yml: its steps and gates, and how they are judged.

    Everything else is left alone: the image, the target, the address of the metrics and their variables may be absent
    or wrong. Raises ConfigurationError as `load` does.
    """
    return parse_policy(_text_of(path), path=path).plan


def parse_policy(text: str, *, path: Path) -> Configuration:
    """As `load_plan`, for a text, with who may steer a rollout and in which language it speaks.

    Its image, target and metrics stand for nothing. A job that only passes an order on needs no secret to read it.
    """
    return _parsed(policy_alone(read(text)), path=path, env={})


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(4 * LARGEST + 1)
    except FileNotFoundError:
        hint = "Write one: it needs `service`, `image`, `target` and `metrics` (see docs/configuration.md)."
        raise ConfigurationError(f"{path} does not exist", hint=hint) from None
    except OSError as wrong:
        raise ConfigurationError(
            f"{path} cannot be read: {wrong.strerror}", hint="Check the path and its rights."
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        raise ConfigurationError(f"{path}:{line}: this is not UTF-8 text", hint="Save the file as UTF-8.") from None


def parse(text: str, *, path: Path, env: Mapping[str, str]) -> Configuration:
    """As `load`, for a text; `path` is its name in messages."""
    return _parsed(read(text), path=path, env=env)


def _parsed(document: Document, *, path: Path, env: Mapping[str, str]) -> Configuration:
    if document.content is None and document.mistakes:
        raise _error(path, document.mistakes)
    expanded = expand(document, env)
    mistakes = [*document.mistakes, *expanded.mistakes]
    unset = {mistake.loc for mistake in expanded.mistakes}
    file: File | None = None
    try:
        file = File.model_validate(expanded.content)
    except ValidationError as wrong:
        # What an unset variable leaves behind is no second mistake.
        explained = explain(wrong.errors(include_url=False), document=document, expanded=expanded)
        mistakes += [mistake for mistake in explained if mistake.loc not in unset]
    found = {mistake.loc for mistake in mistakes}
    mistakes += [mistake for mistake in _rules(document, expanded) if mistake.loc not in found]
    if file is None or mistakes:
        raise _error(path, mistakes)
    return _configuration(file, document, path)


def _rules(document: Document, expanded: Expanded) -> Iterator[Mistake]:
    if isinstance(expanded.content, dict):
        for broken in rules.check(expanded.content):
            place = document.place(broken.loc)
            yield Mistake(place=place, loc=broken.loc, message=broken.message, hint=broken.hint)


def _error(path: Path, mistakes: Iterable[Mistake]) -> ConfigurationError:
    ordered = sorted(mistakes, key=lambda mistake: (mistake.place, mistake.where))
    lines: list[str] = []
    for mistake in ordered[:MOST_SHOWN]:
        where = f"{mistake.where}: " if mistake.loc else ""
        lines.append(f"{path}:{mistake.place.line}:{mistake.place.column}: {where}{_line(mistake.message)}")
        if mistake.hint:
            lines.append(f"  {_line(mistake.hint)}")
    if len(ordered) > MOST_SHOWN:
        lines.append(f"and {len(ordered) - MOST_SHOWN:,} more")
    return ConfigurationError("\n".join(lines))


def _line(text: str) -> str:
    return " ".join(text.split())


def _configuration(file: File, document: Document, path: Path) -> Configuration:
    target: TargetSettings | None = next(
        (found for name in TARGETS if (found := getattr(file.target, name)) is not None), None
    )
    metrics = file.metrics.prometheus or file.metrics.access_log
    assert target is not None  # the rules ask for one of each
    assert metrics is not None
    try:
        plan = plan_of(file)
    except Unfit as wrong:
        raise _error(path, [Mistake(place=document.place(wrong.loc), loc=wrong.loc, message=wrong.message)]) from None
    return Configuration(
        path=path,
        plan=plan,
        image=file.image,
        target=target,
        metrics=metrics,
        checks=file.checks,
        notify=file.notify,
        waves=file.waves,
        supersede=file.supersede,
        github=file.github,
        language=file.language,
    )
