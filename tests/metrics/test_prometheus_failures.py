"""Every way in which a metrics server can fail to answer is one sentence with a hint, and holds no secret."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rollout.core.finding import Severity
from rollout.core.selector import parse
from rollout.errors import SourceUnavailable
from rollout.metrics.prometheus import PrometheusSource

if TYPE_CHECKING:
    from tests.metrics.conftest import RawServer

UNTIL = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE = UNTIL - timedelta(minutes=1)
AT = UNTIL.timestamp()

Sources = Callable[..., PrometheusSource]
Servers = Callable[..., "RawServer"]
Answer = Callable[..., bytes]


def matrix(*rows: object, **envelope: object) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": rows}, **envelope})


def row(*values: object, **labels: str) -> dict[str, object]:
    return {"metric": {"__name__": "hits_total", **labels}, "values": values}


QUESTIONS: dict[str, Callable[[PrometheusSource], object]] = {
    "series": lambda source: source.series(parse("hits_total"), since=SINCE, until=UNTIL),
    "histogram": lambda source: source.histogram(parse("hits_total"), since=SINCE, until=UNTIL),
    "values": lambda source: source.values("sum(hits_total)", since=SINCE, until=UNTIL, step=timedelta(seconds=15)),
}
every_question = pytest.mark.parametrize("question", QUESTIONS)


def ask(source: PrometheusSource, question: str = "series") -> SourceUnavailable:
    with pytest.raises(SourceUnavailable) as caught:
        QUESTIONS[question](source)
    assert caught.value.hint
    assert caught.value.message.count("\n") == 0
    return caught.value


def test_a_good_answer_is_cut_to_the_range_and_keeps_its_labels(
    raw_server: Servers, answer: Answer, source_at: Sources
) -> None:
    """The query is an instant one, at the end of the range, and holds the selector and nothing else."""
    good = row([AT - 61, "1"], [AT - 60, "2"], [AT - 59.5, "3"], [AT, "NaN"], code="200")
    server = raw_server(answer("200 OK", matrix(good)))
    [series] = source_at(server.url + "/").series(parse("hits_total"), since=SINCE, until=UNTIL)
    assert dict(series.labels) == {"code": "200"}
    assert [str(sample.value) for sample in series.samples] == ["3.0", "nan"]
    assert series.samples[0].at == UNTIL - timedelta(seconds=59.5)
    target = server.requests[0].split(b" ")[1]
    assert target == b"/api/v1/query?query=hits_total%7B%7D%5B61s%5D&time=1772366400.000"


def test_no_series_is_an_answer(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """An empty matrix is an empty tuple and no failure, and so is a series without a sample in the range."""
    server = raw_server(answer("200 OK", matrix()), answer("200 OK", matrix(row([AT - 60, "2"]))))
    source = source_at(server.url)
    assert source.series(parse("hits_total"), since=SINCE, until=UNTIL) == ()
    assert source.series(parse("hits_total"), since=SINCE, until=UNTIL) == ()


REFUSALS = [
    ("401 Unauthorized", "", "refuses the credentials (HTTP 401)"),
    ("403 Forbidden", "<html>no</html>", "refuses the credentials (HTTP 403)"),
    ("404 Not Found", "404 page not found", "has no query API (HTTP 404)"),
    (
        "400 Bad Request",
        '{"status":"error","error":"parse error: x"}',
        "does not accept the query (HTTP 400): parse error: x",
    ),
    ("422 Unprocessable", '{"status":"error","error":"too many samples"}', "(HTTP 422): too many samples"),
    ("500 Internal", "boom\n\x1b[31m" + "x" * 9999, "answers HTTP 500: boom [31mxxx"),
    ("503 Unavailable", '{"status":"error","error":"starting"}', "answers HTTP 503: starting"),
    ("418 Teapot", "", "answers HTTP 418: no reason given"),
]


@every_question
@pytest.mark.parametrize(("status", "body", "sentence"), REFUSALS)
def test_a_refusal_is_named_by_its_status(
    raw_server: Servers, answer: Answer, source_at: Sources, status: str, body: str, sentence: str, question: str
) -> None:
    """Each status has its own sentence; what the server says about it is cut and printable."""
    failure = ask(source_at(raw_server(answer(status, body)).url), question)
    assert sentence in failure.message
    assert failure.message.isprintable()
    assert len(failure.message) < 300


NONSENSE = [
    ("", "not an answer of the query API"),
    ("<html>please log in</html>", "not an answer of the query API"),
    ("[]", "not an answer of the query API"),
    ("{}", "answers with an error: no reason given"),
    ('{"status":"success"}', "success and no data"),
    ('{"status":"success","data":{}}', "not an answer of the query API"),
    ('{"status":"success","data":{"resultType":"matrix"}}', "not an answer of the query API"),
    ('{"status":"success","data":{"resultType":"vector","result":[]}}', "another kind of result"),
    ('{"status":"error","error":"it broke"}', "answers with an error: it broke"),
    (matrix()[:-9], "not an answer of the query API"),
    (matrix(warnings=["store eu-1 is away"]), "only a part of the data: store eu-1 is away"),
    (matrix(row([AT, "1"]), isPartial=True), "only a part of the data"),
    (matrix({"metric": {}, "values": [[AT]]}), "not of the form"),
    (matrix({"metric": {}, "values": [["soon", "1"]]}), "not of the form"),
]


@every_question
@pytest.mark.parametrize(("body", "sentence"), NONSENSE)
def test_an_answer_that_is_not_whole_and_good_is_no_answer(
    raw_server: Servers, answer: Answer, source_at: Sources, body: str, sentence: str, question: str
) -> None:
    """Nothing is made of nonsense or of a part: no series, no zero."""
    assert sentence in ask(source_at(raw_server(answer("200 OK", body)).url), question).message


NO_COUNTERS = [
    (matrix(row([AT, "many"])), "not a number at a time"),
    (matrix(row([1e300, "1"])), "not a number at a time"),
    (matrix(row([AT, "1"], [AT, "1"])), "not in the order of time"),
    (matrix(row([AT, "2"], [AT - 1, "1"])), "not in the order of time"),
    (matrix(row([AT, "1"], a="b"), row([AT, "1"], a="b")), "the same series comes twice"),
    (matrix({"metric": {}, "histograms": [[AT, {}]]}), "native histogram"),
]


@pytest.mark.parametrize(("body", "sentence"), NO_COUNTERS)
def test_what_no_counter_can_be_is_refused(
    raw_server: Servers, answer: Answer, source_at: Sources, body: str, sentence: str
) -> None:
    """Values that are none, times that run back, and copies."""
    assert sentence in ask(source_at(raw_server(answer("200 OK", body)).url)).message


def test_remarks_on_the_query_are_no_missing_part(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """Prometheus 2.48 and later put remarks beside the warnings; the data is whole."""
    body = matrix(row([AT, "1"]), warnings=["PromQL info: metric might not be a counter"], infos=["x"])
    found = source_at(raw_server(answer("200 OK", body)).url).series(parse("a"), since=SINCE, until=UNTIL)
    assert len(found) == 1


CUT = b'{"status":"success","data":{"resultType":"matrix","result":['


@every_question
@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + CUT,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3c\r\n" + CUT,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 60\r\n\r\n" + CUT,
    ],
)
def test_a_cut_off_answer_is_said_to_be_cut_off(
    raw_server: Servers, source_at: Sources, raw: bytes, question: str
) -> None:
    """By its length, by its chunks, by its compression."""
    assert "cut off" in ask(source_at(raw_server(raw).url), question).message


@pytest.mark.parametrize("raw", [b"", b"\x00\xff garbage\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_is_not_http_is_unavailable(raw_server: Servers, source_at: Sources, raw: bytes) -> None:
    """A port of somebody else, or one that hangs up."""
    assert "could not be asked" in ask(source_at(raw_server(raw).url)).message


def test_a_fault_that_passes_is_tried_again(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """A 503 and a connection that is hung up on are followed by another try within the same question."""
    server = raw_server(
        answer("503 Unavailable", "", "Retry-After: 3600"), b"", answer("200 OK", matrix(row([AT, "1"])))
    )
    assert len(source_at(server.url).series(parse("a"), since=SINCE, until=UNTIL)) == 1
    assert len(server.requests) == 3


@every_question
def test_a_refusal_is_not_tried_again(raw_server: Servers, answer: Answer, source_at: Sources, question: str) -> None:
    """Wrong credentials do not become right, and repeated tries may lock an account."""
    server = raw_server(answer("401 Unauthorized", ""))
    ask(source_at(server.url), question)
    assert len(server.requests) == 1


@every_question
def test_a_slow_server_is_given_up_in_time(raw_server: Servers, source_at: Sources, question: str) -> None:
    """Silence ends with the time-out of the settings."""
    began = time.monotonic()
    failure = ask(source_at(raw_server((20.0,)).url, timeout="200ms"), question)
    assert "did not answer within 0.2 s" in failure.message
    assert time.monotonic() - began < 3


def test_a_server_that_drips_is_given_up_in_time(raw_server: Servers, source_at: Sources) -> None:
    """A byte now and then keeps each read alive and the question unanswered; the whole question has a limit."""
    drip: list[bytes | float] = [b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"]
    for _ in range(200):
        drip += [b" ", 0.05]
    began = time.monotonic()
    failure = ask(source_at(raw_server(tuple(drip)).url, timeout="100ms"))
    assert "did not finish its answer within 3.1 s" in failure.message
    assert time.monotonic() - began < 5


@every_question
def test_a_wrong_port_and_an_unknown_name_are_told_apart(source_at: Sources, question: str) -> None:
    """What to check is another thing in each case."""
    assert "refuses connections" in ask(source_at("http://127.0.0.1:1"), question).message
    assert "is not known" in ask(source_at("http://metrics.invalid:9090"), question).message


def test_a_value_that_cannot_be_sent_is_told(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """YAML can write half of a surrogate pair; no encoding can."""
    source = source_at(raw_server(answer("200 OK", matrix())).url)
    with pytest.raises(SourceUnavailable, match="surrogate"):
        source.series(parse('a{b="\ud800"}'), since=SINCE, until=UNTIL)


@every_question
def test_a_redirect_is_refused(raw_server: Servers, answer: Answer, source_at: Sources, question: str) -> None:
    """Credentials go to the address of the settings and nowhere else."""
    other = raw_server(answer("200 OK", matrix()))
    server = raw_server(answer("302 Found", "", f"Location: {other.url}/login?token=s3cret"))
    failure = ask(source_at(server.url, headers={"X-Key": "k3y"}), question)
    assert "redirects to http://127.0.0.1 (HTTP 302)" in failure.message
    assert "s3cret" not in str(failure)
    assert other.requests == []


SECRET = "t0p-s3cret/value"


@every_question
@pytest.mark.parametrize(
    ("words", "sent"),
    [
        ({"bearer_token": SECRET + "\n"}, b"Authorization: Bearer " + SECRET.encode()),
        ({"headers": {"X-Scope-OrgID": SECRET}}, b"X-Scope-OrgID: " + SECRET.encode()),
        ({"headers": {"Authorization": "Token " + SECRET}}, b"Authorization: Token " + SECRET.encode()),
        ({"basic_auth": {"username": "u", "password": SECRET}}, b"Authorization: Basic dTp0MHAtczNjcmV0L3ZhbHVl"),
    ],
)
def test_credentials_are_sent_and_never_shown(
    raw_server: Servers, answer: Answer, source_at: Sources, words: dict[str, object], sent: bytes, question: str
) -> None:
    """The server gets the secret; neither the error, which quotes the server, nor a repr holds it."""
    echo = json.dumps({"status": "error", "error": f"bad thing: {SECRET} is not good"})
    server = raw_server(answer("422 No", echo))
    source = source_at(server.url, **words)
    failure = ask(source, question)
    assert sent in server.requests[0]
    for shown in (str(failure), repr(failure), repr(source.__dict__), str(failure.__cause__)):
        assert SECRET not in shown


def test_credentials_in_the_url_are_used_and_leave_it(raw_server: Servers, answer: Answer, source_at: Sources) -> None:
    """A url with a password in it works, and no message shows more than the host."""
    server = raw_server(answer("401 Unauthorized", ""))
    failure = ask(source_at(server.url.replace("://", "://u:t0p-s3cret%2Fvalue@")))
    assert b"Authorization: Basic dTp0MHAtczNjcmV0L3ZhbHVl" in server.requests[0]
    assert failure.message.startswith(server.url + " ")


def test_a_netrc_of_the_user_is_not_consulted(
    raw_server: Servers, answer: Answer, source_at: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent stands in rollout.yml: a login for the same host in another file does not replace it."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = raw_server(answer("401 Unauthorized", ""))
    ask(source_at(server.url, bearer_token="mine"))
    ask(source_at(server.url))
    assert b"Authorization: Bearer mine" in server.requests[0]
    assert b"Authorization" not in server.requests[1]


def test_a_token_file_is_read_for_each_question(
    raw_server: Servers, answer: Answer, source_at: Sources, tmp_path: Path
) -> None:
    """A rotated token is used at once; a file that is gone or empty is told by its name."""
    token = tmp_path / "token"
    server = raw_server(answer("401 Unauthorized", ""))
    source = source_at(server.url, bearer_token_file=str(token))
    assert f"the token file {token} cannot be read: No such file" in ask(source).message
    for text in ("one\n", "two\n"):
        token.write_text(text)
        ask(source)
    token.write_text("\n")
    assert "does not hold a token" in ask(source).message
    assert [b"Bearer one" in server.requests[0], b"Bearer two" in server.requests[1]] == [True, True]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that nobody signed, with its key in the same file."""
    path = tmp_path / "cert.pem"
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    options += ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(path), "-out", str(tmp_path / "out.pem")]
    subprocess.run(["openssl", "req", *options, *files], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + (tmp_path / "out.pem").read_bytes())
    return path


def test_a_certificate_is_checked_unless_the_settings_say_otherwise(
    raw_server: Servers, answer: Answer, source_at: Sources, certificate: Path
) -> None:
    """Unknown signer: refused. Named as CA: accepted. `verify: false`: accepted, and doctor warns."""
    server = raw_server(answer("200 OK", matrix()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    plain = server.play

    def play(connection: object, script: tuple[bytes | float, ...]) -> None:
        try:
            plain(context.wrap_socket(connection, server_side=True), script)  # type: ignore[arg-type]  # a socket
        except OSError:
            return  # the client did not like the certificate

    server.play = play  # type: ignore[method-assign]  # the double speaks TLS from here on
    url = server.url.replace("http:", "https:")
    failure = ask(source_at(url))
    assert "cannot be trusted" in failure.message
    assert "verify" in failure.hint
    for verify in (str(certificate), False):
        assert source_at(url, verify=verify).series(parse("a"), since=SINCE, until=UNTIL) == ()
    assert "could not be asked" in ask(source_at(url, verify=str(certificate) + ".absent")).message
    findings = list(source_at(url, verify=False).diagnose((), now=UNTIL))
    assert (findings[0].severity, findings[0].message[:19]) == (Severity.WARNING, "the TLS certificate")


def test_doctor_tells_an_unreachable_server_and_goes_no_further(source_at: Sources) -> None:
    """One error, with what to do."""
    [finding] = source_at("http://127.0.0.1:1").diagnose((parse('a{v="$version"}'),), now=UNTIL)
    assert finding.severity is Severity.ERROR
    assert "refuses connections" in finding.message
    assert finding.hint


def test_doctor_warns_of_credentials_without_tls_and_of_copies(
    raw_server: Servers, answer: Answer, source_at: Sources
) -> None:
    """Two replicas of one Prometheus behind a proxy would double every count."""
    build = answer("200 OK", json.dumps({"status": "success", "data": {"version": "3.1.0"}}))
    double = answer("200 OK", matrix(row([AT, "1"], replica="a"), row([AT, "1"], replica="b")))
    server = raw_server(build, double, answer("200 OK", matrix()))
    findings = list(source_at(server.url).diagnose((parse('hits_total{v="$version"}'),), now=UNTIL))
    assert "version 3.1.0" in findings[0].message
    assert "the label replica has 2 values" in findings[-1].message
    [warning, _] = source_at("http://metrics.invalid", bearer_token="x").diagnose((), now=UNTIL)
    assert "without TLS" in warning.message
