"""One command for every measurement: `make bench`, or `python -m benchmarks.run NAME...` for some of them.

The table in benchmarks/README.md is written anew by a run of all, and in the rows it measured by a run of some.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks import blindness, dropped, github, replay, rollback, rollouts, stickiness
from benchmarks.stage import Parts, Row, real_parts
from rollout.demo.processes import find_program

MEASUREMENTS: Final[Mapping[str, Callable[[Parts], Iterator[Row]]]] = {
    "dropped": dropped.measure,
    "rollback": rollback.measure,
    "stickiness": stickiness.measure,
    "rollouts": lambda _parts: rollouts.measure(),
    "replay": lambda _parts: replay.measure(),
    "blindness": lambda _parts: blindness.measure(),
    "github": lambda _parts: github.measure(),
}
README: Final = Path(__file__).with_name("README.md")
TEXT: Final = """\
# Benchmarks

Measured on real parts (a container engine, nginx, the demo's service in two releases) by

```
make bench
```

which writes this page. `make bench ARGS="dropped rollback"` measures some only, and renews their rows: {names}. All
load stays on 127.0.0.1. Nothing here is asserted by a test: machines differ, and a busy one is slower.

{table}

Machine: {machine}.
"""


def main(names: Sequence[str]) -> int:
    """Run the named measurements, or all; 2 for a name that is none."""
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        print(f"no such measurement: {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}", file=sys.stderr)
        return 2
    rows: list[Row] = []
    with real_parts() as parts:
        for name in names or MEASUREMENTS:
            print(f"measuring: {name}", file=sys.stderr)
            began = time.monotonic()
            rows.extend(MEASUREMENTS[name](parts))
            print(f"  took {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(_table(rows))
    listed = ", ".join(f"`{name}`" for name in MEASUREMENTS)
    table = _table(_renewed(rows) if names else rows)
    README.write_text(TEXT.format(names=listed, table=table, machine=_machine()), encoding="utf-8")
    return 0


def _renewed(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows that the page holds, with these in the places of their predecessors or at the end."""
    known: dict[str, Row] = {}
    for line in README.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| what "):
            what, measured, wanted = (cell.strip() for cell in line.strip("|").split("|"))
            known[what] = Row(what=what, measured=measured, wanted="" if wanted == "-" else wanted)
    return tuple((known | {row.what: row for row in rows}).values())


def _table(rows: Sequence[Row]) -> str:
    lines = ["| what | measured | wanted |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.measured} | {row.wanted or '-'} |" for row in rows]
    return "\n".join(lines)


def _machine() -> str:
    nginx = subprocess.run([find_program("nginx") or "nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {nginx.strip().removeprefix('nginx version: ')}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
