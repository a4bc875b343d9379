"""The programs of the command target's tests: each order in a process of its own, against `command_platform.Platform`.

Every effect begins by asking what is there and does only what is missing, so that it can be called again at any point.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from typing import Any

Told = dict[str, Any]


def admin(do: str, **more: object) -> Told:
    """One order to the platform."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["ADMIN_PORT"]), timeout=10)
    connection.request("POST", "/", json.dumps({"do": do, **more}))
    told: Told = json.load(connection.getresponse())
    connection.close()
    return told


def answers(url: str) -> bool:
    """Whether a service answers."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def become_ready(rollout: str) -> None:
    """Start a slot's service and wait for it; ends the program where it never is."""
    slot = admin("start", rollout=rollout)["slots"][rollout]
    end = time.monotonic() + (0.2 if not slot["runs"] else 5)
    while not answers(slot["url"]):
        if time.monotonic() > end:
            print(json.dumps({"error": f"{slot['release']['tag']} does not become ready"}))
            sys.exit(1)
        time.sleep(0.02)


def live(told: Told, permille: int = 0, **roles: str | None) -> None:
    """Give the roles and the weight anew, in one."""
    admin("live", roles={**told["roles"], **roles}, permille=permille)


def deploy(order: Told) -> None:
    """Note it, start it, wait for it."""
    if order["rollout"] not in admin("look")["slots"]:
        admin("note", rollout=order["rollout"], release=order["release"])
    become_ready(order["rollout"])


def set_weight(order: Told) -> None:
    """One change of the gateway."""
    live(admin("look"), permille=order["permille"])


def promote(order: Told) -> None:
    """The roles change in one; what has none any more is removed."""
    told = admin("look")
    live(told, stable=order["rollout"], canary=None, reserve=told["roles"]["stable"])
    sweep()


def rollback(order: Told) -> None:
    """To stable, or to the reserve; either runs before anybody is sent there."""
    told = admin("look")
    roles = told["roles"]
    if roles["canary"] == order["rollout"]:
        if roles["stable"] is not None:
            become_ready(roles["stable"])
        live(told)
    elif roles["stable"] == order["rollout"] and roles["reserve"] is not None:
        become_ready(roles["reserve"])
        live(told, stable=roles["reserve"], canary=roles["stable"], reserve=None)


def retire(order: Told) -> None:
    """Away with the canary; the reserve only stops."""
    told = admin("look")
    if order["what"] == "canary" and told["roles"]["canary"] == order["rollout"]:
        live(told, canary=None)
        sweep()
    elif order["what"] == "reserve" and told["roles"]["reserve"] == order["rollout"]:
        admin("stop", rollout=order["rollout"])


def discard(order: Told) -> None:
    """Away with the reserve."""
    live(admin("look"), reserve=None)
    sweep()


def sweep() -> None:
    """Remove every slot that has no role."""
    told = admin("look")
    for name in set(told["slots"]) - set(told["roles"].values()):
        admin("remove", rollout=name)


def get_weight(order: Told) -> None:
    """What the gateway serves, and what runs."""
    told = admin("look")
    print(json.dumps({"weight": told["permille"] / 10, **running(told)}))


def running(told: Told) -> Told:
    """What runs, as the contract wants it."""

    def version(role: str) -> Told | None:
        name = told["roles"][role]
        if name is None:
            return None
        slot = told["slots"][name]
        kept = {"release": slot["release"], "rollout": name}
        health = "dead" if not slot["runs"] else "ready" if answers(slot["url"]) else "unready"
        return kept if role == "reserve" else {**kept, "url": slot["url"], "health": health}

    return {"rollout": told["rollout"], **{role: version(role) for role in ("stable", "canary", "reserve")}}


def logs(order: Told) -> None:
    """The lines of the last canary."""
    print("\n".join(admin("look")["log"]))


if __name__ == "__main__":
    said = json.load(sys.stdin)
    {
        "deploy": deploy,
        "set_weight": set_weight,
        "get_weight": get_weight,
        "promote": promote,
        "rollback": rollback,
        "retire": retire,
        "discard": discard,
        "logs": logs,
    }[said["order"]](said)
