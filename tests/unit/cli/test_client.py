"""The REST client against a server in this process that breaks what can break."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apsis.client import Client, ServerAway
from apsis.errors import ApsisError, BadRequest, Conflict, Denied, NotFound, Unavailable

DATA = bytes(range(256)) * 400


class Handler(BaseHTTPRequestHandler):
    """Answers what the test put into `server.answers`; outputs and events break off after each part."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.posts.append((self.path, self.headers.get("Idempotency-Key"), json.loads(body)))
        self.answer(*self.server.answers.pop(0))

    def do_GET(self):
        self.server.gets.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        path = self.path.partition("?")[0]
        if path.endswith("/outputs"):
            self.answer(200, {"outputs": {"output": {"length": len(DATA), "complete": True}}})
        elif "/output/" in path:
            self.part(int(self.headers["Range"].removeprefix("bytes=").partition("-")[0]))
        elif path.endswith("/events"):
            self.events(int(self.path.partition("since=")[2].partition("&")[0]))
        else:
            self.answer(*self.server.answers.pop(0))

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def part(self, start):
        self.send_response(206)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        self.wfile.write(DATA[start : start + 30_000])
        self.close_connection = True

    def events(self, since):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        lines = b"".join(json.dumps({"id": n}).encode() + b"\n" for n in range(since + 1, since + 4))
        torn = lines + b'{"id": 9'
        self.wfile.write(f"{len(torn):x}\r\n".encode() + torn + b"\r\n")
        self.close_connection = True


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.answers, server.posts, server.gets = [], [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(server):
    client = Client(f"http://127.0.0.1:{server.server_port}/", "secret")
    yield client
    client.close()


def error(code, message="no", **more):
    return {"error": {"code": code, "message": message, "hint": "do this", "loc": "q", "request_id": "q1", **more}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, BadRequest), (401, Denied), (403, Denied), (404, NotFound), (409, Conflict), (422, BadRequest),
     (503, Unavailable), (500, ApsisError)],
)  # fmt: skip
def test_a_refusal_is_an_error_of_its_kind_with_the_server_s_words(server, client, status, kind):
    server.answers.append((status, error("some_code", "it is so")))
    with pytest.raises(kind) as raised:
        client.run("r1")
    assert (raised.value.message, raised.value.loc) == ("it is so", "q")
    assert "do this" in raised.value.hint
    assert ("q1" in raised.value.hint) == (status == 500)


def test_an_answer_that_is_not_ours_is_said_to_be_so(server, client):
    server.answers.append((404, ["what"]))
    with pytest.raises(NotFound, match="answered 404"):
        client.run("r1")


def test_a_write_is_sent_again_with_the_same_key_while_the_server_is_away(server, client):
    client.patience = 5
    server.answers += [(503, error("unavailable")), (503, error("unavailable")), (201, {"runs": [{"run_id": "r1"}]})]
    assert client.start_job("a/b", {"x": "1"}) == {"run_id": "r1"}
    keys = {key for _, key, _ in server.posts}
    assert len(server.posts) == 3
    assert len(keys) == 1
    assert server.posts[0][2] == {"job_id": "a/b", "args": {"x": "1"}}


def test_two_writes_have_two_keys(server, client):
    server.answers += [(200, {"run": {}})] * 2
    client.act("r1", "stop")
    client.act("r1", "stop")
    assert len({key for _, key, _ in server.posts}) == 2


def test_ids_are_one_segment_of_the_path_and_the_token_is_in_a_header(server, client):
    server.answers.append((200, {}))
    client.job("a/b c?d")
    path, _, authorization = server.gets[0]
    assert path == "/api/v1/jobs/a%2Fb%20c%3Fd"
    assert authorization == "Bearer secret"


def test_an_output_that_breaks_off_again_and_again_comes_whole_and_once(server, client):
    resumed = []
    client.on_resumed = resumed.append
    assert b"".join(client.follow_output("r1", "output")) == DATA
    assert b"".join(client.read_output("r1", "output", 10, 100_000)) == DATA[10:100_000]
    assert resumed


def test_events_go_on_after_the_last_whole_one(server, client):
    stream = client.events(since=0)
    assert [next(stream)["id"] for _ in range(10)] == list(range(1, 11))
    stream.close()


def test_nobody_there_is_said_at_once_with_the_address():
    client = Client("http://127.0.0.1:1", "t")
    with pytest.raises(ServerAway, match=r"http://127.0.0.1:1 \(connection refused\)"):
        client.health()
    client.close()


@pytest.mark.parametrize(
    "url", ["foo", "foo:5883", "ftp://foo", "http://", "http://a:x", "http://a:99999", "http://[::1", ""]
)
def test_what_is_no_address_is_refused_with_what_one_looks_like(url):
    with pytest.raises(BadRequest) as caught:
        Client(url, "token")
    assert "http://" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["http://foo", "https://foo.example/", "http://[::1]:5883", "http://127.0.0.1:5883/apsis/"]
)
def test_an_address_is_taken_without_its_last_slash(url):
    assert Client(url, "token").url == url.rstrip("/")
