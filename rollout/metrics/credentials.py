"""How a question is signed, and how a secret is kept out of every sentence about it."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from requests.auth import HTTPBasicAuth

from rollout.errors import SourceUnavailable
from rollout.metrics.settings import PrometheusSettings

if TYPE_CHECKING:
    from requests import PreparedRequest


class Credentials:
    """The headers, token or password of the settings, as a `requests` authentication."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request. Raises SourceUnavailable where the token file cannot be read."""
        settings = self._settings
        for name, value in settings.headers.items():
            request.headers[name] = value.get_secret_value()
        token = self._token()
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        if settings.basic_auth is not None:
            password = settings.basic_auth.password.get_secret_value()
            HTTPBasicAuth(settings.basic_auth.username.encode(), password.encode())(request)
        return request

    def redact(self, text: str) -> str:
        """The text of somebody else, short, on one line and without any secret of these settings."""
        for secret in self._secrets():
            text = text.replace(secret, "***")
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        return line if len(line) <= 200 else line[:199] + "…"

    def _secrets(self) -> list[str]:
        settings = self._settings
        whole = [value.get_secret_value() for value in settings.headers.values()]
        # Of `Authorization: Token abc` the server may quote only the last word.
        secrets = whole + [text.split()[-1] for text in whole]
        if settings.basic_auth is not None:
            password = settings.basic_auth.password.get_secret_value()
            pair = f"{settings.basic_auth.username}:{password}"
            secrets += [password, b64encode(pair.encode()).decode()]
        secrets.append(self._token())
        return sorted(filter(None, secrets), key=len, reverse=True)

    def _token(self) -> str:
        settings = self._settings
        if settings.bearer_token is not None:
            return settings.bearer_token.get_secret_value()
        path = settings.bearer_token_file
        if path is None:
            return ""
        try:
            token = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as failure:
            why = failure.strerror if isinstance(failure, OSError) else "it is not text"
            raise SourceUnavailable(
                f"the token file {path} cannot be read: {why}",
                hint="Check metrics.prometheus.bearer_token_file and who may read it.",
            ) from None
        if not token or not all(" " <= letter <= "~" for letter in token):
            raise SourceUnavailable(
                f"the token file {path} does not hold a token", hint="It must hold the token and nothing else."
            )
        return token
