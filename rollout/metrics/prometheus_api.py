"""One question to a Prometheus-like server, and every way in which it can stay unanswered as one sentence.

This is the only module that knows `requests` and the client library, and it is imported when the first question
is asked, because that takes a tenth of a second. It hands on what the server said; it does not select or compute.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit

import requests
from prometheus_api_client.prometheus_connect import PrometheusConnect
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from urllib3.exceptions import InsecureRequestWarning, NameResolutionError, ReadTimeoutError
from urllib3.util.retry import Retry

from rollout.errors import SourceUnavailable
from rollout.metrics.credentials import Credentials
from rollout.metrics.settings import PrometheusSettings

CONNECT_TIMEOUT: Final = timedelta(seconds=2)
RETRY_TIME: Final = timedelta(seconds=3)
"""What a question may take beyond the time-out of one try, with all its retries."""

_QUERY: Final = "/api/v1/query"
_RANGE: Final = "/api/v1/query_range"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_AT_URL: Final = "Check metrics.prometheus.url, and that the server runs."
_T = TypeVar("_T")


class RawSeries(BaseModel):
    """One element of a matrix as the server sends it: labels with `__name__`, and (seconds, text) pairs."""

    model_config = ConfigDict(frozen=True)

    metric: dict[str, str]
    values: tuple[tuple[float, str], ...] = ()
    histograms: tuple[object, ...] = ()


class _Envelope(BaseModel):
    """What surrounds every answer of the HTTP API (prometheus.io/docs, HTTP API, "Format overview")."""

    status: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()
    isPartial: bool = False  # noqa: N815  (VictoriaMetrics' own word for an answer without some of its nodes)
    data: object = None


class _Payload(BaseModel):
    resultType: str  # noqa: N815  (the API's own word)
    result: tuple[object, ...]


class _QueryEnvelope(_Envelope):
    data: _Payload | None = None


_MATRIX: Final = TypeAdapter(tuple[RawSeries, ...])
_LABEL_SETS: Final = TypeAdapter(tuple[dict[str, str], ...])


class PrometheusApi:
    """A connection that is kept open from one question to the next. Every method raises SourceUnavailable."""

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings
        self._where = settings.url
        self.clock: datetime | None = None
        """The server's clock in its newest answer; to the second."""
        self._session = requests.Session()
        if settings.verify is False:
            warnings.simplefilter("ignore", InsecureRequestWarning)  # the user chose it, and `diagnose` says so
        self._session.verify = settings.verify if isinstance(settings.verify, bool) else str(settings.verify)
        self._credentials = Credentials(settings)
        self._session.auth = self._credentials  # set even where nothing is to be signed: else ~/.netrc is consulted
        self._session.hooks["response"].append(self._check)
        self._client = PrometheusConnect(
            settings.url,
            session=self._session,
            retry=Retry(
                total=2,
                read=1,
                backoff_factor=0.3,
                status_forcelist=(429, 502, 503, 504),
                raise_on_status=False,
                respect_retry_after_header=False,
            ),
            timeout=self._timeouts(),  # type: ignore[arg-type]  # it is handed to requests, which takes a pair
        )

    def close(self) -> None:
        """Give the sockets back."""
        self._session.close()

    def matrix(self, query: str, *, at: datetime) -> tuple[RawSeries, ...]:
        """The raw samples of a range selector, by an instant query at its end."""
        return self._series(
            self._ask(lambda: self._client.custom_query(query, params={"time": f"{at.timestamp():.3f}"}))
        )

    def evaluate(self, query: str, *, start: datetime, end: datetime, step: timedelta) -> tuple[RawSeries, ...]:
        """What an expression gives from `start` to `end`, with the moments cut to milliseconds.

        The client library rounds them to seconds, so it is not used here.
        """
        parameters = {
            "query": query,
            "start": _milliseconds(start),
            "end": _milliseconds(end),
            "step": f"{step.total_seconds():.3f}",
            "nocache": "1",  # VictoriaMetrics moves both ends to multiples of the step without it; others ignore it
        }
        answer = self._ask(
            lambda: self._session.get(f"{self._where}{_RANGE}", params=parameters, timeout=self._timeouts()).json()
        )
        return self._series(answer["data"]["result"])

    def label_sets(self, selector: str, *, since: datetime, until: datetime) -> tuple[dict[str, str], ...]:
        """The labels of every series that a selector names, with `__name__`."""
        result = self._ask(lambda: self._client.get_series(since, until, params={"match[]": selector}))
        try:
            return _LABEL_SETS.validate_python(result)
        except ValidationError:
            raise self._nonsense("label sets that are not of the form the series API has") from None

    def version(self) -> str:
        """The version the server names, which may be the one of Prometheus it imitates."""
        answer = self._ask(
            lambda: self._session.get(f"{self._where}/api/v1/status/buildinfo", timeout=self._timeouts())
        )
        data = answer.json().get("data")
        return str(data.get("version", "")) if isinstance(data, dict) else ""

    def _series(self, result: object) -> tuple[RawSeries, ...]:
        try:
            return _MATRIX.validate_python(result)
        except ValidationError:
            raise self._nonsense("series that are not of the form the query API has") from None

    def _timeouts(self) -> tuple[float, float]:
        timeout = self._settings.timeout
        return min(CONNECT_TIMEOUT, timeout).total_seconds(), timeout.total_seconds()

    def _ask(self, question: Callable[[], _T]) -> _T:
        budget = self._settings.timeout + RETRY_TIME
        try:
            return within(budget, question)
        except SourceUnavailable:
            raise
        except TimeoutError:
            raise SourceUnavailable(
                f"{self._where} did not finish its answer within {budget.total_seconds():g} s",
                hint="Check the load of the server and its name service, or raise metrics.prometheus.timeout.",
            ) from None
        except requests.exceptions.JSONDecodeError:
            raise self._nonsense("something that is not JSON") from None
        except requests.RequestException as failure:
            raise self._unreachable(failure) from None
        except UnicodeError:
            raise SourceUnavailable(
                "a selector or query holds half of a surrogate pair, which cannot be sent",
                hint="Look for \\ud800 to \\udfff in the gates.",
            ) from None
        except OSError as failure:
            raise SourceUnavailable(
                f"{self._where} could not be asked: {self._credentials.redact(str(failure))}",
                hint="Check the file that metrics.prometheus.verify names.",
            ) from None

    def _check(self, answer: requests.Response, **_: object) -> None:
        """Raise SourceUnavailable for every answer that is not whole and good. The client library looks only at
        the status code, and would drop the warnings that tell of a part.
        """
        body = answer.content
        self._note_clock(answer)
        if answer.status_code != 200:
            raise self._refused(answer)
        is_query = urlsplit(answer.url).path.endswith((_QUERY, _RANGE))
        try:
            envelope = (_QueryEnvelope if is_query else _Envelope).model_validate_json(body)
        except ValidationError:
            raise self._nonsense("something that is not an answer of the query API") from None
        if envelope.status != "success":
            raise SourceUnavailable(
                f"{self._where} answers with an error: {self._credentials.redact(envelope.error) or 'no reason given'}",
                hint="Try the query in the server's own query page.",
            )
        # Prometheus 2.48 to 2.53 put remarks on the query itself among the warnings.
        missing = [text for text in envelope.warnings if not text.startswith("PromQL ")]
        if missing or envelope.isPartial:
            raise SourceUnavailable(
                f"{self._where} has only a part of the data"
                + (f": {self._credentials.redact(missing[0])}" if missing else ""),
                hint="Check the stores and nodes behind it; a part of a counter cannot be judged.",
            )
        if envelope.data is None:
            raise self._nonsense("success and no data")
        if isinstance(envelope.data, _Payload) and envelope.data.resultType != "matrix":
            raise self._nonsense("another kind of result than the matrix that was asked for")

    def _note_clock(self, answer: requests.Response) -> None:
        try:
            seen = parsedate_to_datetime(answer.headers.get("Date", ""))
        except ValueError:
            return
        self.clock = seen if seen.tzinfo else seen.replace(tzinfo=UTC)

    def _refused(self, answer: requests.Response) -> SourceUnavailable:
        code = answer.status_code
        if code in (401, 403):
            return SourceUnavailable(
                f"{self._where} refuses the credentials (HTTP {code})",
                hint="Check the credentials under metrics.prometheus: they are absent, wrong or expired.",
            )
        if code == 404:
            return SourceUnavailable(
                f"{self._where} has no query API (HTTP 404)",
                hint="Check metrics.prometheus.url; some servers have the API under a path, such as /prometheus.",
            )
        if code in (400, 422):
            return SourceUnavailable(
                f"{self._where} does not accept the query (HTTP {code}): {self._reason(answer)}",
                hint="Try the query in the server's own query page.",
            )
        if 300 <= code < 400:
            return SourceUnavailable(
                f"{self._where} redirects to {self._host_of(answer.headers.get('Location', ''))} (HTTP {code})",
                hint="Write the final address into metrics.prometheus.url; credentials are not sent after a redirect.",
            )
        hint = "The server has a problem of its own; look at its log." if code >= 500 else _LOOK_AT_URL
        return SourceUnavailable(f"{self._where} answers HTTP {code}: {self._reason(answer)}", hint=hint)

    def _host_of(self, address: str) -> str:
        try:
            target = urlsplit(address)
        except ValueError:
            return "an address that is none"
        return self._credentials.redact(f"{target.scheme}://{target.hostname}") if target.hostname else "another path"

    def _reason(self, answer: requests.Response) -> str:
        try:
            return self._credentials.redact(_Envelope.model_validate_json(answer.content).error) or "no reason given"
        except ValidationError:
            return self._credentials.redact(answer.content[:400].decode("utf-8", "replace")) or "no reason given"

    def _nonsense(self, what: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self._where} answers {what}",
            hint="Check metrics.prometheus.url: this may be a login page, a proxy, or an answer that was cut off.",
        )

    def _unreachable(self, failure: requests.RequestException) -> SourceUnavailable:
        roots = tuple(_causes(failure))
        if isinstance(failure, requests.exceptions.SSLError):
            return SourceUnavailable(
                f"{self._where} cannot be trusted: {self._credentials.redact(_innermost(roots))}",
                hint="Set metrics.prometheus.verify to the file of the CA that signed its certificate.",
            )
        if isinstance(failure, requests.exceptions.ProxyError):
            return SourceUnavailable(
                f"the proxy towards {self._where} does not answer",
                hint="Check HTTP_PROXY and HTTPS_PROXY, or name the host in NO_PROXY.",
            )
        if any(isinstance(root, NameResolutionError) for root in roots):
            return SourceUnavailable(
                f"the name of {self._where} is not known",
                hint="Check metrics.prometheus.url and the name service of this machine.",
            )
        if any(isinstance(root, ConnectionRefusedError) for root in roots):
            return SourceUnavailable(f"{self._where} refuses connections", hint=_LOOK_AT_URL)
        if isinstance(failure, requests.exceptions.ConnectTimeout):
            return SourceUnavailable(
                f"{self._where} does not accept connections within {self._timeouts()[0]:g} s",
                hint="Check metrics.prometheus.url, and the firewalls on the way.",
            )
        if isinstance(failure, requests.Timeout) or any(isinstance(root, ReadTimeoutError) for root in roots):
            return SourceUnavailable(
                f"{self._where} did not answer within {self._timeouts()[1]:g} s",
                hint="Check the load of the server, or raise metrics.prometheus.timeout.",
            )
        if isinstance(failure, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError):
            return SourceUnavailable(
                f"the answer of {self._where} was cut off",
                hint="Check the proxies on the way and the log of the server.",
            )
        return SourceUnavailable(
            f"{self._where} could not be asked: {self._credentials.redact(_innermost(roots))}", hint=_LOOK_AT_URL
        )


def within(budget: timedelta, question: Callable[[], _T]) -> _T:
    """The result of `question`, or TimeoutError once the budget is spent, whatever it is waiting for.

    The time-outs of a socket limit one read and no name look-up, so a server that drips could hold a rollback up.
    A question that is given up goes on in a daemon thread until its own time-outs end it.
    """
    results: list[_T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(question())
        except BaseException as failure:  # noqa: BLE001  (raised again below, in the thread that asked)
            failures.append(failure)

    thread = threading.Thread(target=run, name="metrics question", daemon=True)
    thread.start()
    thread.join(budget.total_seconds())
    if failures:
        raise failures[0]
    if not results:
        raise TimeoutError
    return results[0]


def _milliseconds(moment: datetime) -> str:
    """Seconds since 1970, cut to milliseconds: rounded up, a moment could lie after what the caller asked for."""
    return f"{(moment - _EPOCH) // timedelta(milliseconds=1) / 1000:.3f}"


def _causes(failure: BaseException) -> list[BaseException]:
    """The failure and everything it was raised from, outermost first (requests and urllib3 nest four deep)."""
    found: list[BaseException] = []
    todo: list[object] = [failure]
    while todo:
        one = todo.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            todo.extend((one.__context__, one.__cause__, getattr(one, "reason", None), *one.args))
    return found


def _innermost(causes: tuple[BaseException, ...]) -> str:
    """The words of the failure that started it all."""
    system = [cause for cause in causes if isinstance(cause, OSError) and cause.strerror]
    if system:
        return str(system[-1].strerror)
    return str(causes[-1]) or type(causes[-1]).__name__
