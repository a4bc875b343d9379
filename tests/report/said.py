"""Everything that is said of the rollouts of `scenes`, as files that a reader can review.

`python -m tests.report.said` writes them anew; the test says which differ.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from rollout.core.language import Language
from rollout.report.pull_request import Page, annotation, feature_comment, help_comment, short_status
from tests.report.scenes import COMMENTS, SCENES

FOLDER: Final = Path(__file__).parent / "golden"
_LINES: Final = {"status": short_status, "annotation": annotation, "feature": feature_comment}


@cache
def scene(name: str, language: Language = Language.EN) -> Page:
    """A scene, made once."""
    if language is Language.EN:
        return SCENES[name]()
    return replace(scene(name), language=language)


def names() -> tuple[str, ...]:
    """The names of all files."""
    kinds = (*COMMENTS, "help", "lines")
    return tuple(f"{kind}.{language}.md" for kind in kinds for language in Language)


def text(name: str) -> str:
    """What the file of that name holds."""
    kind, code, _ = name.split(".")
    language = Language(code)
    if kind == "help":
        return f"{help_comment(language)}\n"
    if kind == "lines":
        return "\n".join(_lines(language))
    moment, comment = COMMENTS[kind]
    return comment(scene(moment, language))


def _lines(language: Language) -> list[str]:
    told: list[str] = []
    for name in SCENES:
        page = scene(name, language)
        told += [f"## {name}", "", *(f"- {kind}: {say(page)}" for kind, say in _LINES.items()), ""]
    return told


def main() -> None:
    """Write every file, and remove those that nothing is written into."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for name in names():
        (FOLDER / name).write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
