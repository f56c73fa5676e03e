"""An `http` program asks once, prints what it was answered, and ends by what was expected."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from web_site import Site

from apsis import addresses

if TYPE_CHECKING:
    from conftest import Stage


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as found:
        addresses.configure(["127.0.0.1"])
        yield found
        addresses.configure([])


def ask(site: Site, path: str = "/", **keys: Any) -> dict[str, Any]:
    return {"type": "http", "url": f"http://127.0.0.1:{site.port}{path}", **keys}


def test_it_prints_the_status_line_and_the_body(stage: "Stage", site: Site) -> None:
    ran = stage.run(ask(site, "/?a=1&b=%20"))

    assert (ran.code, ran.out, ran.err) == (0, "HTTP/1.1 200 OK\n\nwelcome\n", "")
    assert (site.asked[0]["method"], site.asked[0]["path"]) == ("GET", "/?a=1&b=%20")
    assert site.asked[0]["headers"]["Host"] == f"127.0.0.1:{site.port}"


def test_it_sends_method_headers_and_body(stage: "Stage", site: Site) -> None:
    stage.run(ask(site, "/made", method="put", headers={"X-One": "1", "host": "other.example"}, body="text"))
    stage.run(ask(site, "/made", method="POST", body={"a": [1, True, None]}))

    first, second = site.asked
    assert (first["method"], first["body"], first["headers"]["X-One"]) == ("PUT", "text", "1")
    assert first["headers"]["host"] == "other.example"
    assert (second["method"], second["body"]) == ("POST", '{"a": [1, true, null]}')
    assert second["headers"]["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "keys", "said"),
    [
        ("/broken", {}, "expected status 2xx, got 503"),
        ("/broken", {"expect": {"status": [200, 404]}}, "expected status 200 or 404, got 503"),
        ("/moved", {}, "got 302; it is said to be at http://127.0.0.1:1/elsewhere, give that address"),
        ("/", {"expect": {"json": {}}}, "expected JSON, but the answer is none"),
        ("/deep", {"expect": {"json": {}}}, "expected JSON, but the answer is none"),
        ("/list", {"expect": {"json": {"a": 1}}}, "the answer: expected a mapping, got [1, 2]"),
        ("/data", {"expect": {"json": {"state": "open"}}}, 'the answer.state: expected "open", got "done"'),
        ("/data", {"expect": {"json": {"missing": 1}}}, "the answer: there is no 'missing'"),
        ("/data", {"expect": {"json": {"more": {"a": 1}}}}, "the answer.more.a: expected 1, got true"),
        ("/data", {"expect": {"json": {"rows": [1]}}}, "the answer.rows: expected [1], got [1, 2]"),
        ("/cut", {}, "IncompleteRead"),
        ("/nonsense", {}, "what?"),
    ],
)
def test_an_answer_that_is_not_as_expected_is_a_failure_that_says_how(
    stage: "Stage", site: Site, path: str, keys: dict[str, Any], said: str
) -> None:
    ran = stage.run(ask(site, path, **keys))

    assert ran.code == 1
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/data", {"expect": {"json": {"state": "done", "more": {"b": 1}}}}),
        ("/data", {"expect": {"json": {"rows": [1, 2]}, "status": "200"}}),
        ("/broken", {"expect": {"status": "5xx"}}),
        ("/made", {"method": "HEAD"}),
        ("/list", {"expect": {"json": [1, 2]}}),
    ],
)
def test_an_answer_that_is_as_expected_is_good(stage: "Stage", site: Site, path: str, keys: dict[str, Any]) -> None:
    ran = stage.run(ask(site, path, **keys))

    assert (ran.code, ran.err) == (0, "")


def test_a_secret_is_put_in_by_the_process_and_nothing_else_is(stage: "Stage", site: Site) -> None:
    keys = {
        "headers": {"Authorization": "Bearer ${TOKEN}", "X": "${HOME}"},
        "body": {"key": "${TOKEN}"},
        "secrets": {"TOKEN": "api"},
    }
    assert "s3cret" not in str(stage.argv(ask(site, **keys)))
    stage.run(ask(site, **keys), TOKEN="s3cret")

    assert site.asked[0]["headers"]["Authorization"] == "Bearer s3cret"
    assert site.asked[0]["headers"]["X"] == "${HOME}"
    assert site.asked[0]["body"] == '{"key": "s3cret"}'


def test_a_private_address_is_refused_unless_the_config_allows_it(stage: "Stage", site: Site) -> None:
    addresses.configure([])

    ran = stage.run(ask(site))

    assert ran.code == 125
    assert ran.err.startswith("Error: 127.0.0.1 is 127.0.0.1, which is not a public address; where that is meant")
    assert site.asked == []


def test_nobody_there_is_a_failure_that_says_so(stage: "Stage", site: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ran = stage.run({"type": "http", "url": f"http://127.0.0.1:{free.getsockname()[1]}/"})

    assert ran.code == 1
    assert "Connection refused" in ran.err
    ran = stage.run({"type": "http", "url": "http://no-such-host.invalid/"})
    assert ran.code == 1
    assert "no-such-host.invalid has no address" in ran.err


def test_a_certificate_must_be_that_of_the_host(stage: "Stage", tmp_path: Path) -> None:
    key, cert, both = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "both.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    addresses.configure(["127.0.0.0/8", "::1"])
    try:
        with Site(str(both)) as site:
            good, wrong = f"https://localhost:{site.port}/", f"https://127.0.0.1:{site.port}/"
            trusted = {"SSL_CERT_FILE": str(cert)}
            assert stage.run({"type": "http", "url": good}, **trusted).code == 0
            assert stage.run({"type": "http", "url": wrong}, **trusted).code == 1
            ran = stage.run({"type": "http", "url": good})
            assert ran.code == 1
            assert "CERTIFICATE_VERIFY_FAILED" in ran.err
    finally:
        addresses.configure([])
