"""A cluster of its own for each test of the double, and requests to it as any client sends them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.kubernetes.server import TOKEN, ClusterServer
from tests.kubernetes.wire import Wire


@pytest.fixture
def cluster() -> Iterator[ClusterServer]:
    """A cluster whose seconds are a twentieth of the wall's."""
    with ClusterServer(speed=20) as server:
        yield server


@pytest.fixture
def wire(cluster: ClusterServer) -> Iterator[Wire]:
    """Somebody who is known to the cluster and may do everything."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        session.headers["User-Agent"] = "tests/1"
        yield Wire(url=cluster.url, session=session)
