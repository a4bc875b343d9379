"""The one nginx file that is ours: brought into force, never without a test, and never half.

A new file is tested where it will stand; one that nginx refuses is taken back before anything is reloaded. An effect
is over when the *running* gateway says so on fresh connections. This module knows weights and backends, no containers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from rollout.core.plan import Weight
from rollout.errors import TargetBusy, TargetFailed
from rollout.targets.nginx import files
from rollout.targets.nginx.program import Program, Tested
from rollout.targets.nginx.render import Head, read_head, render, render_script
from rollout.targets.nginx.script import weight_file
from rollout.targets.nginx.status import Status, Unanswered, ask
from rollout.targets.nginx.values import Gateway, probe_addresses

_PAUSE: Final = 0.02
_SETTLED: Final = 0.25
"""For how long every fresh connection must reach the new configuration: workers of the old one accept for a moment
after a reload (measured: up to 160 ms on nginx 1.22)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Our file in one nginx."""

    program: Program
    include: Path
    directory: Path
    """Where the script and the weight file stand; the workers must be able to read them."""
    njs: bool | None
    """Whether to use njs; None finds out."""
    patience: timedelta = timedelta(seconds=10)
    """How long nginx may take to serve a new configuration."""

    @property
    def weight_path(self) -> Path:
        """The file that holds the weight where njs is used."""
        return self.directory / "weight"

    def script_path(self, generation: int) -> Path:
        """The script of one generation of the configuration."""
        return self.directory / f"rollout-{generation}.js"

    def head(self) -> Head | None:
        """The first line of our file; None where there is no file, or it is not ours."""
        return read_head(files.read(self.include) or "")

    def status(self, gateway: Gateway, *, timeout: float = 2.0) -> Status:
        """What the running gateway says. Raises Unanswered."""
        address = probe_addresses(gateway.listen)[0]
        return ask(address, host=gateway.status_host, path=gateway.status_path, timeout=timeout)

    def apply(self, gateway: Gateway, weight: Weight, *, today: date) -> None:
        """Make the running gateway serve these backends at this weight; nothing happens where it does already.

        Raises TargetFailed where nginx refuses the file or does not run, and TargetBusy where it does not serve it in
        time; the former file is in place then.
        """
        head = self.head()
        if head is not None and self._stands(gateway, head, weight, today):
            if self._serves(gateway, head.generation, weight):
                return
            if head.njs and self._serves(gateway, head.generation, None):
                self._set_weight(gateway, head.generation, weight)
                return
        self._swap(gateway, weight, today=today)

    def _stands(self, gateway: Gateway, head: Head, weight: Weight, today: date) -> bool:
        """Whether our file says what it should, but for the weight where that is njs's."""
        if self.njs is not None and self.njs != head.njs:
            return False
        if not head.njs and head.weight != weight:
            return False
        want = self._in_place(gateway, head.generation, njs=head.njs)
        text = render(want, generation=head.generation, weight=head.weight, today=today)
        if text != files.read(self.include):
            return False
        script = render_script(want, generation=head.generation, weight=head.weight)
        return not head.njs or files.read(self.script_path(head.generation)) == script

    def _in_place(self, gateway: Gateway, generation: int, *, njs: bool) -> Gateway:
        return dataclasses.replace(
            gateway,
            njs=njs,
            script_file=str(self.script_path(generation)),
            weight_file=str(self.weight_path),
        )

    def _serves(self, gateway: Gateway, generation: int, weight: Weight | None) -> bool:
        try:
            now = self.status(gateway)
        except Unanswered:
            return False
        return now.generation == generation and (weight is None or now.weight == weight)

    def _set_weight(self, gateway: Gateway, generation: int, weight: Weight) -> None:
        files.replace(self.weight_path, weight_file(generation=generation, permille=weight.permille))
        said = self._wait(gateway, generation, weight, settled=0.0)
        if said:
            raise TargetFailed(
                f"nginx does not serve {weight}: {said}",
                hint=f"The nginx workers must be able to read {self.weight_path}: check the rights of its directories.",
            )

    def _swap(self, gateway: Gateway, weight: Weight, *, today: date) -> None:
        former = files.read(self.include)
        self._refuse_foreign_faults()
        files.directory(self.include.parent)
        files.directory(self.directory)
        files.directory(Path(gateway.access_log).parent)
        generation = self._next_generation(gateway)
        njs = self.program.has_njs() if self.njs is None else self.njs
        want = self._in_place(gateway, generation, njs=njs)
        if njs:
            script = render_script(want, generation=generation, weight=weight)
            files.replace(self.script_path(generation), script, mode=0o600)
        files.replace(self.include, render(want, generation=generation, weight=weight, today=today), mode=0o640)
        self._test_or_restore(want, former)
        self._reload_or_restore(want, former, generation, weight)
        self._forget_scripts(but=generation)

    def _refuse_foreign_faults(self) -> None:
        error = self.program.test().error
        if error and not self._is_ours(error):
            raise TargetFailed(
                f"nginx -t fails in a file that is not ours: {error}",
                hint="Correct it first; nothing was changed.",
            )

    def _is_ours(self, error: str) -> bool:
        return str(self.include) in error or str(self.directory) in error

    def _next_generation(self, gateway: Gateway) -> int:
        """A number that no file, no running worker and no weight file has yet."""
        head = self.head()
        seen = [head.generation if head else 0]
        found = re.match(r"([0-9]{1,15}) ", files.read(self.weight_path) or "")
        seen.append(int(found[1]) if found else 0)
        with contextlib.suppress(Unanswered):
            seen.append(self.status(gateway).generation)
        return max(seen) + 1

    def _test_or_restore(self, gateway: Gateway, former: str | None) -> None:
        tested = self.program.test()
        problem = tested.error or _shadowed(gateway, tested)
        if problem:
            self._restore(former)
            raise TargetFailed(
                f"nginx refuses the new configuration: {problem}",
                hint="The former file is back and nothing was reloaded. Correct what nginx names, or target.nginx.",
            )

    def _reload_or_restore(self, gateway: Gateway, former: str | None, generation: int, weight: Weight) -> None:
        try:
            self.program.reload()
        except TargetFailed:
            self._restore(former)
            raise
        said = self._wait(gateway, generation, weight, settled=_SETTLED)
        if not said:
            return
        included = self.program.includes(self.include)
        self._restore(former)
        if not self.program.test().error:
            self.program.reload()
        if not included:
            raise TargetFailed(
                f"the nginx configuration does not include {self.include}",
                hint=f"Add `include {self.include.parent}/*.conf;` to the http block of nginx.conf.",
            )
        raise TargetBusy(
            f"nginx does not serve the new configuration: {said}",
            hint="nginx's error log says why; another program may listen on the same address. The former file is back.",
        )

    def _wait(self, gateway: Gateway, generation: int, weight: Weight, *, settled: float) -> str:
        """Wait until every fresh connection for `settled` seconds shows this; else why not, in a sentence."""
        said = ""

        def right() -> bool:
            nonlocal said
            try:
                now = self.status(gateway)
            except Unanswered as silence:
                said = str(silence)
                return False
            said = now.problem or f"it shows generation {now.generation} at {now.weight}, not {generation} at {weight}"
            return now.generation == generation and now.weight == weight

        return "" if _steady(right, settled=settled, patience=self.patience.total_seconds()) else said

    def _restore(self, former: str | None) -> None:
        if former is None:
            files.remove(self.include)
        else:
            files.replace(self.include, former, mode=0o640)

    def _forget_scripts(self, *, but: int) -> None:
        for path in self.directory.glob("rollout-*.js"):
            if path != self.script_path(but):
                files.remove(path)


def _shadowed(gateway: Gateway, tested: Tested) -> str:
    """The warning that another server takes our requests: nginx accepts it, and would then never come to us.

    `_` is no name anybody asks for: with it our server is the default of its address, and nginx refuses a second one.
    """
    names = set(gateway.server_name) - {"_"}
    ports = {port for _, port in probe_addresses(gateway.listen)}
    for warning in tested.warnings:
        found = re.search(r'conflicting server name "([^"]*)" on \S+:([0-9]+), ignored', warning)
        if found and found[1] in names and int(found[2]) in ports:
            return warning
    return ""


def _steady(right: Callable[[], bool], *, settled: float, patience: float) -> bool:
    """Whether `right` holds without a break for `settled` seconds, before `patience` seconds are over."""
    begun = time.monotonic()
    since: float | None = None
    while True:
        if right():
            now = time.monotonic()
            since = now if since is None else since
            if now - since >= settled:
                return True
        else:
            since = None
            if time.monotonic() - begun > patience:
                return False
        time.sleep(_PAUSE)
