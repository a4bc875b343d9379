"""Whether a container answers, asked directly and not through the gateway."""

from __future__ import annotations

import http.client


def probe(port: int, path: str | None, *, timeout: float) -> str:
    """Why 127.0.0.1:`port` is not ready, in a few words; empty where it is.

    Ready is an answer of 2xx under `path`; without a path, any HTTP answer to `/`. A mere connection is not enough:
    a container engine accepts connections before the service does.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path or "/", headers={"Connection": "close", "User-Agent": "rollout"})
        status = connection.getresponse().status
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except http.client.HTTPException:
        return "the connection ended without an HTTP answer"
    except OSError as wrong:
        return (wrong.strerror or "no connection").lower()
    finally:
        connection.close()
    return "" if path is None or 200 <= status < 300 else f"HTTP {status}"
