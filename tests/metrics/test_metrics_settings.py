"""What rollout.yml may say about metrics, and what is refused before anything is asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from rollout.metrics.settings import AccessLogSettings, PrometheusSettings


def settings(**words: object) -> PrometheusSettings:
    return PrometheusSettings.model_validate({"url": "http://p:9090", **words})


def test_a_url_is_all_that_is_needed() -> None:
    """Certificates are checked and a time-out is set unless somebody says otherwise."""
    plain = settings(url=" https://metrics.example.com/prometheus/ ")
    assert plain.url == "https://metrics.example.com/prometheus"
    assert plain.verify is True
    assert plain.timeout == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"url": "p:9090"}, "http:// or https://"),
        ({"url": "ftp://p"}, "http:// or https://"),
        ({"url": "http://"}, "http:// or https://"),
        ({"url": "http://p:port"}, "not a url"),
        ({"url": "http://[::1"}, "not a url"),
        ({"url": "http://p?token=s3cret"}, "under headers"),
        ({"url": "http://p/api/v1/query"}, "without /api/v1"),
        ({"url": "http://p/graph"}, "without /api/v1"),
        ({"url": "http://u:s3cret@p", "basic_auth": {"username": "u", "password": "s3cret"}}, "keep one of them"),
        ({"bearer_token": "s3cret", "basic_auth": {"username": "u", "password": "s3cret"}}, "exclude each other"),
        ({"bearer_token": "s3cret", "headers": {"authorization": "s3cret"}}, "exclude each other"),
        ({"url": "http://u:s3cret@p", "bearer_token": "s3cret"}, "exclude each other"),
        ({"bearer_token": "s3cret\r\nX-Evil: 1"}, "no HTTP header can carry"),
        ({"headers": {"X-Key": ""}}, "no HTTP header can carry"),
        ({"headers": {"X Key": "s3cret"}}, "not the name of an HTTP header"),
        ({"labels": {"a-b": "c"}}, "not the name of a label"),
        ({"timeout": "10ms"}, "100ms to 60s"),
        ({"timeout": 5}, "needs a unit"),
        ({"ulr": "http://p"}, "Extra inputs"),
    ],
)
def test_a_mistake_is_named_without_its_secret(words: dict[str, object], sentence: str) -> None:
    """The message says what is wrong and never quotes a value that may be a secret."""
    with pytest.raises(ValidationError) as caught:
        settings(**words)
    assert sentence in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_credentials_of_a_url_move_out_of_it() -> None:
    """What is printed of the settings holds no password."""
    found = settings(url="https://user:p%40ss@metrics.example.com:9443/x")
    assert found.url == "https://metrics.example.com:9443/x"
    assert found.basic_auth is not None
    assert found.basic_auth.username == "user"
    assert found.basic_auth.password.get_secret_value() == "p@ss"
    assert "p@ss" not in repr(found)
    assert "p%40ss" not in repr(found)


def test_an_access_log_needs_no_word_at_all() -> None:
    """The path is the target's unless it is given."""
    assert AccessLogSettings().path is None


@pytest.mark.parametrize("model", [PrometheusSettings, AccessLogSettings])
def test_every_field_is_described_for_the_schema(model: type[PrometheusSettings | AccessLogSettings]) -> None:
    """The JSON Schema is what editors show."""
    properties = model.model_json_schema()["properties"]
    assert [name for name, field in properties.items() if not field.get("description")] == []
