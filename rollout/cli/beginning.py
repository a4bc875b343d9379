"""The verb that comes first: `rollout init` writes the files that a repository needs. It asks nothing."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rollout.core.pacing import Pacing
from rollout.errors import ConfigurationError
from rollout.init import FILL_IN, first_files, pin_of_this_program, project_at

if TYPE_CHECKING:
    from rollout.cli.parser import Call


def init(call: Call) -> int:
    """Write rollout.yml and the workflow at the root of this repository.

    Raises ConfigurationError where one of them is there and `--force` is not given; nothing is written then.
    """
    project = project_at(Path.cwd())
    texts = first_files(project, pacing=Pacing(call.arguments.pacing), pin=pin_of_this_program())
    there = [str(path) for path in texts if (project.root / path).exists()]
    if there and not call.arguments.force:
        raise ConfigurationError(
            f"already there, and left as it is: {', '.join(there)}",
            hint="`rollout init --force` writes it anew; `rollout doctor` looks over what is there",
        )
    for path, text in texts.items():
        file = project.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    _tell(call, texts)
    return 0


def _tell(call: Call, written: dict[PurePosixPath, str]) -> None:
    if call.json:
        print(json.dumps({"written": [str(path) for path in written]}))
        return
    print("\n".join(f"wrote {path}" for path in written))
    print("\nfill in:")
    for path, text in written.items():
        for number, line in enumerate(text.splitlines(), start=1):
            _, marked, what = line.partition(f"{FILL_IN}: ")
            if marked:
                print(f"  {path}:{number}: {what.partition('. ')[0].rstrip('.')}")
    print("\nthen look it over with `rollout doctor`, commit it to the default branch, and push a tag")
