"""Stands for `examples/command-*/service` without a container engine: a release in a slot is a process of its own.

Its arguments are those of that program; `SLOTS` names the directory with what it must remember. Which tag a digest has
stands in `SLOTS/tags.json`. It kills the program that runs it at the contact that `SLOTS/kill_at` names.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SERVER = """
import http.server, sys
tag = sys.argv[2].encode()
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(tag)))
        self.end_headers()
        self.wfile.write(tag)
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    def handle_error(self, request, client):
        pass  # HAProxy's health checks hang up early
print(f"release {sys.argv[2]} starts", flush=True)
if sys.argv[2] == "broken":
    sys.exit(3)
Server(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""


def count(slots: Path) -> bool:
    """Count a contact; whether it is the one to be killed at."""
    kill_at = slots / "kill_at"
    if not kill_at.exists():
        return False
    made = int((slots / "contacts").read_text()) + 1
    (slots / "contacts").write_text(str(made))
    return made == int(kill_at.read_text())


def state(pid: Path) -> str:
    """Of the process in a slot."""
    if not pid.exists():
        return "absent"
    try:
        status = Path(f"/proc/{int(pid.read_text())}/stat").read_text()
    except OSError:
        return "exited"
    return "exited" if status.rpartition(")")[2].split()[0] == "Z" else "running"


def start(slots: Path, slot: str, port: str, reference: str) -> None:
    """Run it, unless it runs."""
    pid = slots / f"{slot}.pid"
    if state(pid) == "running":
        return
    tag = json.loads((slots / "tags.json").read_text())[reference.partition("@")[2]]
    with (slots / f"{slot}.log").open("a") as log:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SERVER, port, tag],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    pid.write_text(str(child.pid))
    if tag == "broken":
        child.wait(10)


def stop(slots: Path, slot: str) -> None:
    """End it."""
    pid = slots / f"{slot}.pid"
    if state(pid) == "running":
        os.kill(int(pid.read_text()), signal.SIGKILL)
        while state(pid) == "running":
            time.sleep(0.01)


def main() -> None:
    """One verb."""
    slots = Path(os.environ["SLOTS"])
    if count(slots):
        (slots / "killed").touch()
        os.kill(os.getppid(), signal.SIGKILL)
        return
    match sys.argv[1:]:
        case ["start", slot, port, reference]:
            start(slots, slot, port, reference)
        case ["stop", slot]:
            stop(slots, slot)
        case ["remove", slot]:
            stop(slots, slot)
            (slots / f"{slot}.pid").unlink(missing_ok=True)
            (slots / f"{slot}.log").unlink(missing_ok=True)
        case ["state", slot]:
            print(state(slots / f"{slot}.pid"), 0)
        case ["logs", slot, lines]:
            log = slots / f"{slot}.log"
            if log.exists():
                print("\n".join(log.read_text().splitlines()[-int(lines) :]))
        case _:
            sys.exit(f"not understood: {sys.argv[1:]}")


if __name__ == "__main__":
    main()
