"""A small platform for the command target: a gateway, services and an admin API, all on real sockets of this machine.

It stands for whatever a team has. The programs of `command_program.py` drive it from processes of their own, as a
user's programs would; it knows nothing of Rollout but what it is told.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.serving import Quiet


class Cut(Exception):
    """The connection ends without an answer, as it does where one side is killed."""


@dataclass
class Slot:
    """One deployment of one release."""

    rollout: str
    release: dict[str, str]
    port: int = 0
    log: list[str] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None
    thread: threading.Thread | None = None

    def start(self) -> None:
        """Have the service answer its tag, on the port it had before if it had one. A `broken` one never does."""
        self.log.append(f"release {self.release['tag']} starts")
        if self.server is not None or self.release["tag"] == "broken":
            return
        tag = self.release["tag"].encode()

        class Service(Quiet, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(tag)))
                self.end_headers()
                self.wfile.write(tag)

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Service)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End the service; the slot stays."""
        if self.server is not None and self.thread is not None:
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()
            self.server = None

    def told(self) -> dict[str, Any]:
        """What the admin API says of it."""
        return {
            "rollout": self.rollout,
            "release": self.release,
            "url": f"http://127.0.0.1:{self.port or 9}",
            "runs": self.server is not None,
        }


@dataclass
class Platform:
    """What runs, which slot has which role, and what the gateway serves."""

    slots: dict[str, Slot] = field(default_factory=dict)
    roles: dict[str, str | None] = field(default_factory=lambda: {"stable": None, "canary": None, "reserve": None})
    permille: int = 0
    rollout: str | None = None
    last_log: list[str] = field(default_factory=list)
    contacts: int = 0
    """How often somebody came in touch with the outside: a program was run, or the admin API was asked."""
    kill_at: int | None = None
    killed: bool = False
    gateway_port: int = 0
    admin_port: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def contact(self) -> None:
        """Count one; raises Cut where this is the one to be killed at."""
        with self.lock:
            self.contacts += 1
            if self.killed or self.contacts == self.kill_at:
                self.killed = True
                raise Cut

    def order(self, said: dict[str, Any]) -> dict[str, Any]:
        """One thing that the admin API can do, as a whole."""
        with self.lock:
            match said["do"]:
                case "look":
                    pass
                case "note":
                    self.slots[said["rollout"]] = Slot(said["rollout"], said["release"])
                    self.last_log = self.slots[said["rollout"]].log
                    self.rollout = said["rollout"]
                    self.roles["canary"] = said["rollout"]
                    self.permille = 0
                case "start":
                    self.slots[said["rollout"]].start()
                case "stop":
                    self.slots[said["rollout"]].stop()
                case "live":
                    self.roles, self.permille = said["roles"], said["permille"]
                case "remove":
                    self.slots.pop(said["rollout"]).stop()
                case _:
                    raise ValueError(said["do"])
        return self.told()

    def told(self) -> dict[str, Any]:
        """Everything."""
        return {
            "slots": {name: slot.told() for name, slot in self.slots.items()},
            "roles": self.roles,
            "permille": self.permille,
            "rollout": self.rollout,
            "log": self.last_log,
        }

    def backend(self) -> int | None:
        """The port of the service that the next request goes to."""
        with self.lock:
            role = "canary" if random.randrange(1000) < self.permille else "stable"
            name = self.roles[role]
            return self.slots[name].port if name is not None else None


@contextmanager
def platform() -> Iterator[Platform]:
    """A platform that runs until the block ends."""
    one = Platform()

    class Admin(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                one.contact()
            except Cut:
                self.close_connection = True
                return
            _answer(self, 200, json.dumps(one.order(said)).encode())

    class Gateway(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            port = one.backend()
            if port is None:
                _answer(self, 503, b"")
                return
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/")
                _answer(self, 200, connection.getresponse().read())
            except OSError:
                _answer(self, 502, b"")
            finally:
                connection.close()

    with _serving(Admin) as one.admin_port, _serving(Gateway) as one.gateway_port:
        try:
            yield one
        finally:
            for slot in one.slots.values():
                slot.stop()


@contextmanager
def _serving(pages: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _answer(page: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    page.send_response(status)
    page.send_header("Content-Length", str(len(body)))
    page.end_headers()
    page.wfile.write(body)
