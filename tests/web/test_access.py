"""Access: whatever is not explicitly open is closed."""

import re
import socket
import stat
from pathlib import Path

import pytest
from tornado.httpclient import HTTPClientError
from web_stage import TOKEN, Stage

from apsis_web.routes import RESOURCES, routes

PUBLIC = {"/api/v1/alive", "/api/v1/login"}


def concrete(pattern: str) -> str:
    """Return a path that fits a route's pattern."""
    path = re.sub(r"\((?:\?:)?([a-z]+)\|[^)]*\)", r"\1", pattern).replace("([^/]+)", "r1")
    return path.replace("(?:/.*)?", "/x")


def test_every_route_without_credentials_is_refused(site: Stage) -> None:
    walked = 0
    for pattern, _ in RESOURCES:
        path = "/api/v1" + concrete(pattern)
        if path in PUBLIC:
            continue
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = site.call(method, "/" + path, token=None)
            assert answer.status == 401, (method, path, answer.data)
            if method != "HEAD":
                assert answer.error["code"] == "unauthorized"
        walked += 1
    assert walked == len(RESOURCES) - len(PUBLIC)
    for path in ("/api", "/api/v1/nothing", "/api/v9/runs", "/ws"):
        assert site.call("GET", "/" + path, token=None).status == 401, path


def test_only_page_login_and_alive_are_public() -> None:
    """A handler is opened by itself alone, never by what it inherits from."""
    opened = []
    for rule in routes(Path("/nowhere")):
        handler = rule[1] if isinstance(rule, tuple) else rule.target
        if vars(handler).get("public") is True:
            opened.append(handler.__name__)
    assert sorted(opened) == ["Alive", "Asset", "Login", "Page", "RootFile"]


def test_alive_tells_nothing_but_that(site: Stage) -> None:
    answer = site.get("/alive", token=None)
    assert (answer.status, answer.json) == (200, {"alive": True})
    assert "server" not in answer.headers


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], "ünknown"])
def test_a_wrong_token_is_refused(site: Stage, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
    assert site.get("/runs", token=None, headers=headers).status == 401


def test_a_foreign_host_is_refused(site: Stage) -> None:
    for host in ("evil.example", "evil.example:5883", "127.0.0.1.evil.example", "localhost@evil.example", ""):
        answer = site.get("/runs", headers={"Host": host})
        assert answer.status in (400, 403), host
    assert site.get("/runs", headers={"Host": "localhost:1"}).status == 200
    assert site.call("GET", "//", headers={"Host": "evil.example"}, token=None).status == 403


def test_login_gives_a_cookie_that_scripts_cannot_read(site: Stage) -> None:
    answer = site.call("POST", "/login", {"token": TOKEN}, token=None)
    assert set(answer.json) == {"user", "role", "xsrf"}
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert TOKEN not in cookie
    headers = {"Cookie": cookie.split(";")[0]}
    assert site.get("/session", token=None, headers=headers).json == answer.json
    assert site.get("/runs", token=None, headers=headers).status == 200
    assert site.get("/session", token=None).status == 401


def test_a_cookie_that_was_tampered_with_is_none(site: Stage) -> None:
    headers = site.log_in()
    name, _, value = headers["Cookie"].partition("=")
    for spoilt in (value[:-1] + ("0" if value[-1] != "0" else "1"), value.replace("|", "", 1), "x", value[5:]):
        assert site.get("/session", token=None, headers={"Cookie": f"{name}={spoilt}"}).status == 401


def test_another_token_ends_all_sessions(site: Stage) -> None:
    headers = site.log_in()
    assert site.get("/session", token=None, headers=headers).status == 200
    site.home.token.write_text("another")
    assert site.get("/session", token=None, headers=headers).status == 401


def test_a_session_outlives_a_restart(site: Stage) -> None:
    headers = site.log_in()
    key = site.home.keys / "cookie"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    address = site.web.address
    assert site.web.end() == 0
    site.web.start()
    assert site.web.address == address
    assert site.get("/session", token=None, headers=headers).status == 200


def test_writes_with_the_cookie_need_the_xsrf_token(site: Stage) -> None:
    headers = site.log_in()
    body = {"job_id": "etl/load"}
    cookie_only = {"Cookie": headers["Cookie"]}
    for sent in (cookie_only, {**cookie_only, "X-XSRF-Token": "0" * 64}, {**cookie_only, "X-XSRF-Token": ""}):
        answer = site.call("POST", "/runs", body, token=None, headers=sent)
        assert answer.status == 403
        assert answer.error["code"] == "denied"
    assert site.call("POST", "/runs", body, token=None, headers=headers).status == 201
    for foreign in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert site.call("POST", "/runs", body, token=None, headers={**headers, **foreign}).status == 403
    assert site.call("POST", "/runs", body).status == 201, "a Bearer token needs no XSRF token"
    assert len(site.scheduler.requests) == 2


def test_logout_takes_the_cookie_back(site: Stage) -> None:
    headers = site.log_in()
    answer = site.call("POST", "/logout", token=None, headers=headers)
    assert answer.status == 200
    assert 'apsis_session=""' in answer.headers["set-cookie"]


def test_many_wrong_tokens_make_an_address_wait(site: Stage) -> None:
    statuses = [site.call("POST", "/login", {"token": "guess"}, token=None).status for _ in range(12)]
    assert statuses[:10] == [401] * 10
    assert statuses[-1] == 429
    answer = site.call("POST", "/login", {"token": TOKEN}, token=None)
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    statuses = [site.get("/runs", token="guess").status for _ in range(12)]
    assert statuses[-1] == 429
    assert site.get("/runs").status == 200, "a right token is never locked out by a wrong one"


def test_the_websocket_refuses_strangers_and_foreign_pages(site: Stage) -> None:
    with pytest.raises(HTTPClientError) as refused:
        site.socket(headers={})
    assert refused.value.code == 401
    cookie = {"Cookie": site.log_in()["Cookie"]}
    for origin in ("http://evil.example", "null", "http://localhost:1"):
        with pytest.raises(HTTPClientError) as refused:
            site.socket(headers={**cookie, "Origin": origin})
        assert refused.value.code == 403
    own = site.socket(headers={**cookie, "Origin": site.web.address})
    assert own.expect("hello")["user"] == "admin"
    other = site.socket(subprotocol=None)
    assert other.closed() == 4406


def test_errors_show_no_trace(site: Stage) -> None:
    for data in (b"{", b"[]", b'{"job_id": 5}', b'{"jobid": "x"}', b"\xff", b'{"job_id": "x", "args": {"a": 1}}'):
        answer = site.call("POST", "/runs", data)
        assert answer.status == 400, data
        assert "Traceback" not in answer.data.decode()
    answer = site.call("POST", "/runs", {"job_id": "x", "args": {"a": 1}})
    assert answer.error["loc"] == "args[...]"
    assert site.call("POST", "/runs", b"x" * (1024 * 1024 + 1)).status == 413


def test_the_page_runs_no_foreign_script(site: Stage) -> None:
    answer = site.call("GET", "//", token=None)
    policy = answer.headers["content-security-policy"]
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is not None
    assert scripts.group(1) == "'self'"
    assert "default-src 'self'" in policy
    assert answer.status in (200, 503)
    for path in ("/runs", "/runs/r1", "/jobs", "/job/etl%2Fload", "/login", "/help"):
        assert site.call("GET", "/" + path, token=None).data == answer.data
    assert site.call("GET", "//assets/../../server.py", token=None).status in (403, 404)
    assert site.call("GET", "//assets/%2e%2e/%2e%2e/server.py", token=None).status in (403, 404)


def test_a_port_in_use_is_said_in_one_line(stage: Stage) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    stage.web.start("--port", str(port), ready=False)
    assert stage.web.popen is not None
    assert stage.web.popen.wait(10) == 3
    stage.web.popen = None
    taken.close()
    lines = [line for line in stage.web.log().splitlines() if " INFO " not in line]
    assert len(lines) == 1
    assert f"port {port} is in use by another program; set web.port or give --port 0" in lines[0]
