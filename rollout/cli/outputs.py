"""What a job hands back to its workflow: outputs, the summary on the page of the run, and annotations.

See docs.github.com, "Workflow commands": a line break or a `::` in a value must not begin another command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def in_a_workflow(env: Mapping[str, str]) -> bool:
    """Whether a job of GitHub Actions has called, and not a person or another system."""
    return env.get("GITHUB_ACTIONS") == "true" and bool(env.get("GITHUB_EVENT_NAME"))


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a job hands back to its workflow: `$GITHUB_OUTPUT`, `$GITHUB_STEP_SUMMARY` and annotations."""

    env: Mapping[str, str]

    def set(self, **values: str) -> None:
        """Outputs of the action; names with `_` are written with `-`. Line breaks cannot be part of a value."""
        if path := self.env.get("GITHUB_OUTPUT"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.writelines(
                    f"{name.replace('_', '-')}={' '.join(value.split())}\n" for name, value in values.items()
                )

    def summarize(self, text: str) -> None:
        """The page of the run."""
        if path := self.env.get("GITHUB_STEP_SUMMARY"):
            with Path(path).open("w", encoding="utf-8") as file:
                file.write(text)

    def annotate(self, level: str, title: str, text: str) -> None:
        """`error`, `warning` or `notice` at the top of the run."""
        if in_a_workflow(self.env):
            print(f"::{level} title={_property(title)}::{_data(text)}", flush=True)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
