"""What every server that scrapes the exporter is given and asked, whichever program it is."""

from __future__ import annotations

import json
from pathlib import Path

import requests


def scrape_configuration(file: Path, *, port: int) -> Path:
    """Write one that has the exporter on this port scraped five times a second."""
    job = {"job_name": "chat", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    file.write_text(json.dumps({"global": {"scrape_interval": "200ms"}, "scrape_configs": [job]}))
    return file


def answers(url: str) -> bool:
    """Whether a server is ready, by the page that says so."""
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False
