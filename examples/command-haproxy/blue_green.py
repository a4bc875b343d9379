#!/usr/bin/env python3
"""The programs of `target: command` for HAProxy: every order, over its admin socket, with two slots.

What the running HAProxy says is true about traffic: one entry of its map names the slots, the weight and the rollout,
and changes as a whole. What runs in which slot stands in `notes.json`. Only Python's standard library is needed.

Every effect does what is missing and no more, so one that was killed is finished by calling it again.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

TRY_AGAIN = 75
NONE = "-"
KEPT_LINES = 1000
Json = dict[str, Any]


@dataclass(frozen=True)
class Live:
    """What HAProxy serves: the value of the map's entry."""

    stable: str
    canary: str
    permille: int
    rollout: str

    def __str__(self) -> str:
        return f"{self.stable}:{self.canary}:{self.permille}:{self.rollout}"

    @classmethod
    def read(cls, text: str) -> Live:
        """From the value of the entry."""
        stable, canary, permille, rollout = text.split(":")
        return cls(stable, canary, int(permille), rollout)


def fail(message: str, *, hint: str = "", code: int = 1) -> NoReturn:
    """End, and say why in the words of the contract."""
    print(json.dumps({"error": message, "hint": hint}))
    sys.exit(code)


@dataclass(frozen=True)
class Gateway:
    """The running HAProxy."""

    socket: Path
    map: Path

    def ask(self, command: str) -> str:
        """One command of the admin socket, and its whole answer. Raises OSError."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(str(self.socket))
            connection.sendall(command.encode() + b"\n")
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def live(self) -> Live:
        """What it serves now. Raises OSError or ValueError."""
        for line in self.ask(f"show map {self.map}").splitlines():
            found = line.split(" ", 2)
            if len(found) == 3 and found[1] == "live":
                return Live.read(found[2])
        raise ValueError(f"the map {self.map} has no entry `live`")

    def serve(self, live: Live) -> None:
        """Have it serve that: in the file for its next start first, then in the running process, then looked at."""
        new = self.map.with_name(f".{self.map.name}.new")
        with new.open("w") as file:
            file.write(f"live {live}\n")
            file.flush()
            os.fsync(file.fileno())
        new.chmod(0o644)
        new.replace(self.map)
        said = self.ask(f"set map {self.map} live {live}").strip()
        if self.live() != live:
            fail(f"HAProxy does not take the new entry: {said}", code=TRY_AGAIN)

    def is_up(self, slot: str) -> bool:
        """Whether its own health check of the slot succeeds."""
        table = csv.DictReader(io.StringIO(self.ask("show stat").removeprefix("# ")))
        return any(row["pxname"] == slot and row["svname"] == "app" and row["status"].startswith("UP") for row in table)


@dataclass(frozen=True)
class Slots:
    """Where releases run."""

    program: str
    ports: dict[str, int]
    health: str
    patience: float
    """Seconds that a release may take to become ready."""

    def do(self, verb: str, slot: str, *more: str) -> str:
        """Run the `service` program; what it prints."""
        done = subprocess.run([self.program, verb, slot, *more], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"service {verb} {slot}: {done.stderr.strip()[-500:]}", code=TRY_AGAIN)
        return done.stdout

    def answers(self, slot: str) -> bool:
        """Whether the service itself says that it is well."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[slot], timeout=2)
        try:
            connection.request("GET", self.health)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def become_ready(self, slot: str, reference: str, gateway: Gateway) -> str:
        """Start what is in a slot and wait until HAProxy finds it well; why not, where it never does."""
        self.do("start", slot, str(self.ports[slot]), reference)
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            if self.answers(slot) and gateway.is_up(slot):
                return ""
            state, restarts = self.do("state", slot).split()
            if state not in ("running", "restarting", "created") or int(restarts) > 2:
                return f"it does not stay up: {state}, {restarts} restarts"
            time.sleep(0.05)  # neither the service nor HAProxy tells when it is ready; both can only be asked
        return f"it is not ready after {self.patience:g} s"


class Notes:
    """What runs in which slot: the one thing that HAProxy does not know."""

    def __init__(self, path: Path) -> None:
        self.path = path
        told: Json = json.loads(path.read_text()) if path.exists() else {}
        self.rollout: str | None = told.get("rollout")
        self.reserve: str | None = told.get("reserve")
        self.slots: Json = told.get("slots", {})

    def save(self) -> None:
        """Replace the file as a whole."""
        new = self.path.with_suffix(".new")
        with new.open("w") as file:
            json.dump({"rollout": self.rollout, "reserve": self.reserve, "slots": self.slots}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    def of(self, slot: str, rollout: str) -> bool:
        """Whether that rollout deployed what is in the slot."""
        return slot in self.slots and self.slots[slot]["rollout"] == rollout

    def reference(self, slot: str) -> str:
        """The image by digest."""
        release = self.slots[slot]["release"]
        return f"{release['image']}@{release['digest']}"


class Platform:
    """The orders."""

    def __init__(self, gateway: Gateway, slots: Slots, state: Path) -> None:
        self.gateway, self.slots, self.state = gateway, slots, state
        self.notes = Notes(state / "notes.json")

    def deploy(self, order: Json) -> None:
        """Into the slot that is not stable; a reserve there gives way."""
        live, rollout = self.gateway.live(), order["rollout"]
        slot = next(name for name in self.slots.ports if name != live.stable)
        if live.canary == slot and live.permille > 0:
            fail(f"the canary in {slot} still gets traffic", hint="Abort its rollout first.")
        if not self.notes.of(slot, rollout):
            self._empty(slot)
            self.notes.slots[slot] = {"release": order["release"], "rollout": rollout}
            self.notes.rollout = rollout
            self.notes.save()
        self.gateway.serve(replace(live, canary=slot, permille=0, rollout=rollout))
        if why := self.slots.become_ready(slot, self.notes.reference(slot), self.gateway):
            last = self.slots.do("logs", slot, "3").strip()
            self.gateway.serve(replace(live, canary=NONE, permille=0, rollout=rollout))
            self._empty(slot)
            fail(f"{order['release']['tag']}: {why}", hint=f"Its last lines: {last}" if last else "")

    def set_weight(self, order: Json) -> None:
        """One change of one entry."""
        live = self.gateway.live()
        if not self.notes.of(live.canary, order["rollout"]):
            fail(f"the canary is not that of {order['rollout']}")
        self.gateway.serve(replace(live, permille=order["permille"]))

    def get_weight(self, _order: Json) -> None:
        """What the running HAProxy serves."""
        try:
            print(json.dumps({"weight": self.gateway.live().permille / 10}))
        except (OSError, ValueError) as wrong:
            print(json.dumps({"weight": None, "problem": f"HAProxy at {self.gateway.socket} cannot be asked: {wrong}"}))

    def status(self, _order: Json) -> None:
        """Which slot has which role, and how it is."""
        live = self.gateway.live()
        reserve = self.notes.reserve
        if reserve in (live.stable, live.canary):
            reserve = None
        print(
            json.dumps(
                {
                    "rollout": self.notes.rollout,
                    "stable": self._version(live.stable),
                    "canary": self._version(live.canary),
                    "reserve": self.notes.slots[reserve] if reserve else None,
                }
            )
        )

    def promote(self, order: Json) -> None:
        """The slots change roles in one; what was stable goes on running, in reserve."""
        live = self.gateway.live()
        if self.notes.of(live.stable, order["rollout"]):
            return
        if not self.notes.of(live.canary, order["rollout"]):
            fail(f"the canary is not that of {order['rollout']}")
        self.notes.reserve = None if live.stable == NONE else live.stable
        self.notes.save()
        self.gateway.serve(replace(live, stable=live.canary, canary=NONE, permille=0))

    def rollback(self, order: Json) -> None:
        """To stable, or to the reserve. Whoever is to get users is ready first."""
        live, rollout, reserve = self.gateway.live(), order["rollout"], self.notes.reserve
        if self.notes.of(live.canary, rollout):
            if live.stable != NONE and live.permille > 0 and not self.slots.answers(live.stable):
                self._make_ready(live.stable)
            self.gateway.serve(replace(live, permille=0))
        elif self.notes.of(live.stable, rollout) and live.canary == NONE and reserve not in (None, live.stable):
            self._make_ready(reserve)
            self.gateway.serve(replace(live, stable=reserve, canary=live.stable, permille=0))

    def retire(self, order: Json) -> None:
        """Remove the canary and keep its log; or stop the reserve."""
        live = self.gateway.live()
        if order["what"] == "canary" and self.notes.of(live.canary, order["rollout"]):
            if live.permille > 0:
                fail("the canary still gets traffic")
            self._keep_log(live.canary)
            self.slots.do("remove", live.canary)
            self.gateway.serve(replace(live, canary=NONE))
            self._empty(live.canary)
        elif order["what"] == "reserve" and self.notes.reserve not in (None, live.stable, live.canary):
            self.slots.do("stop", self.notes.reserve)

    def discard(self, _order: Json) -> None:
        """Remove the reserve."""
        live = self.gateway.live()
        if self.notes.reserve not in (None, live.stable, live.canary):
            self._empty(self.notes.reserve)

    def logs(self, order: Json) -> None:
        """Of the last canary: as it runs, or as it was kept."""
        for slot in self.notes.slots:
            if self.notes.of(slot, self.notes.rollout or ""):
                print(self.slots.do("logs", slot, str(order["lines"])), end="")
                return
        with suppress(OSError):
            print(self._log(self.notes.rollout or "").read_text(), end="")

    def _version(self, slot: str) -> Json | None:
        if slot == NONE:
            return None
        if slot not in self.notes.slots:
            fail(f"HAProxy serves the slot {slot}, and {self.notes.path} does not know what is in it")
        state, restarts = self.slots.do("state", slot).split()
        health = "ready" if self.slots.answers(slot) else "unready"
        return {
            **self.notes.slots[slot],
            "url": f"http://127.0.0.1:{self.slots.ports[slot]}",
            "health": health if state in ("running", "restarting", "created") else "dead",
            "restarts": int(restarts),
        }

    def _make_ready(self, slot: str) -> None:
        if why := self.slots.become_ready(slot, self.notes.reference(slot), self.gateway):
            fail(f"traffic stays where it is: {slot}: {why}", code=TRY_AGAIN)

    def _empty(self, slot: str) -> None:
        if slot in self.notes.slots:
            self._keep_log(slot)
        self.slots.do("remove", slot)
        if self.notes.reserve == slot:
            self.notes.reserve = None
        self.notes.slots.pop(slot, None)
        self.notes.save()

    def _keep_log(self, slot: str) -> None:
        text = self.slots.do("logs", slot, str(KEPT_LINES))
        if text:
            path = self._log(self.notes.slots[slot]["rollout"])
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def _log(self, rollout: str) -> Path:
        return self.state / "logs" / f"{rollout}.log"


ORDERS = {
    "deploy": Platform.deploy,
    "set_weight": Platform.set_weight,
    "get_weight": Platform.get_weight,
    "status": Platform.status,
    "promote": Platform.promote,
    "rollback": Platform.rollback,
    "retire": Platform.retire,
    "discard": Platform.discard,
    "logs": Platform.logs,
}


def main() -> None:
    """One order, from stdin; nobody else carries one out meanwhile."""
    read = argparse.ArgumentParser(description=__doc__)
    read.add_argument("--socket", type=Path, default=Path("/run/haproxy/chat.sock"), help="HAProxy's admin socket")
    read.add_argument(
        "--map", type=Path, default=Path("/etc/haproxy/chat.map"), help="the map, as haproxy.cfg names it"
    )
    read.add_argument("--state", type=Path, default=Path("/var/lib/chat-slots"), help="where the notes are kept")
    read.add_argument("--service", default="./service", help="the program that runs a release in a slot")
    read.add_argument("--slots", default="blue=21001,green=21002", help="the slots and their ports")
    read.add_argument("--health", default="/health", help="the path that answers 200 when the service is ready")
    read.add_argument("--patience", type=float, default=60.0, help="seconds until it must be ready")
    given = read.parse_args()
    ports = {name: int(port) for name, port in (pair.split("=") for pair in given.slots.split(","))}
    order = json.load(sys.stdin)
    given.state.mkdir(parents=True, exist_ok=True)
    with (given.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        gateway = Gateway(given.socket, given.map)
        platform = Platform(gateway, Slots(given.service, ports, given.health, given.patience), given.state)
        try:
            ORDERS[order["order"]](platform, order)
        except (OSError, ValueError) as wrong:
            why = (wrong.strerror if isinstance(wrong, OSError) else None) or str(wrong)
            fail(f"{order['order']}: {why}", hint=f"Does HAProxy answer at {given.socket}?", code=TRY_AGAIN)


if __name__ == "__main__":
    main()
