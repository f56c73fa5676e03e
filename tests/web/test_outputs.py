"""Outputs: the exact bytes, by range, whole, and while they come."""

import json
import random

import pytest
from web_stage import Stage, until

from apsis.runs.states import State


@pytest.fixture
def data() -> bytes:
    chance = random.Random(5)
    lines = [f"line {index} {'x' * chance.randrange(60)} ü".encode() for index in range(30_000)]
    return b"\n".join(lines) + b"\n"


def finished(site: Stage, data: bytes) -> str:
    """Return a run that has printed some bytes and ended."""
    site.store.start()
    run = site.scheduler.create()
    site.scheduler.change(run.run_id, State.RUNNING)
    site.print_output(run.run_id, data, end=True)
    site.scheduler.change(run.run_id, State.SUCCESS, outputs={"output": len(data)})
    site.caught_up()
    path = f"/runs/{run.run_id}/outputs"
    until(lambda: site.get(path).json["outputs"]["output"]["complete"])
    return run.run_id


def test_ranges_are_exact(site: Stage, data: bytes) -> None:
    assert len(data) > 1_000_000
    path = f"/runs/{finished(site, data)}/output/output"
    whole = site.get(path)
    assert (whole.status, whole.data == data) == (200, True)
    assert whole.headers["content-length"] == str(len(data))
    assert whole.headers["x-output-complete"] == "true"
    assert "content-encoding" not in site.get(path, headers={"Accept-Encoding": "gzip"}).headers
    size = len(data)
    for spec, start, stop in (
        ("0-0", 0, 1), ("0-99", 0, 100), ("5-", 5, size), ("-7", size - 7, size), (f"-{size * 2}", 0, size),
        (f"{size - 1}-", size - 1, size), (f"100-{size * 9}", 100, size), ("262143-262145", 262143, 262146),
        ("500000-900000", 500_000, 900_001),
    ):  # fmt: skip
        answer = site.get(path, headers={"Range": f"bytes={spec}", "Accept-Encoding": "gzip"})
        assert answer.status == 206, spec
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert answer.data == data[start:stop], spec
    for spec in (f"{size}-", f"{size + 5}-{size + 9}", "-0"):
        answer = site.get(path, headers={"Range": f"bytes={spec}"})
        assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}"), spec
    for spec in ("bytes=9-3", "lines=0-3", "bytes=0-1,5-6", "bytes=a-b"):
        assert site.get(path, headers={"Range": spec}).status == 200, spec


def test_tags_and_heads(site: Stage, data: bytes) -> None:
    path = f"/runs/{finished(site, data)}/output"
    head = site.call("HEAD", path)
    tag = head.headers["etag"]
    assert (head.status, head.data, head.headers["content-length"]) == (200, b"", str(len(data)))
    assert site.get(path, headers={"If-None-Match": tag}).status == 304
    assert site.get(path, headers={"Range": "bytes=0-9", "If-Range": tag}).data == data[:10]
    assert site.get(path, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).status == 200
    answer = site.get(path + "?download=1")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_lines_and_tail(site: Stage, data: bytes) -> None:
    path = f"/runs/{finished(site, data)}/output/output"
    lines = data.decode().split("\n")[:-1]
    answer = site.get(path + "/lines?from=1000&count=50").json
    assert [row["text"] for row in answer["lines"]] == lines[1000:1050]
    assert answer["lines"][0]["n"] == 1000
    assert data[answer["lines"][3]["offset"] :].startswith(lines[1003].encode())
    assert (answer["total"], answer["complete"]) == (len(lines), True)
    answer = site.get(path + "/tail?count=10").json
    assert [row["text"] for row in answer["lines"]] == lines[-10:]
    assert site.get(path + "/lines?from=x").status == 400


def test_following_brings_every_byte_and_then_ends(site: Stage) -> None:
    site.store.start()
    run = site.scheduler.create()
    site.caught_up()
    with site.stream(f"/runs/{run.run_id}/output?follow=1") as response:
        assert response.status == 200
        site.scheduler.change(run.run_id, State.RUNNING)
        site.print_output(run.run_id, b"one\n")
        assert response.read1(100) == b"one\n"
        site.store.end(9)
        site.store.start()
        site.print_output(run.run_id, b"two\n", offset=4, end=True)
        assert response.read() == b"two\n"
    with site.stream(f"/runs/{run.run_id}/output?follow=1", {"Range": "bytes=2-"}) as response:
        assert response.status == 206
        assert response.read() == b"e\ntwo\n"


def test_a_run_without_output_has_an_empty_one(site: Stage) -> None:
    site.store.start()
    run = site.scheduler.create()
    site.caught_up()
    answer = site.get(f"/runs/{run.run_id}/output")
    assert (answer.status, answer.data, answer.headers["x-output-complete"]) == (200, b"", "false")
    site.scheduler.change(run.run_id, State.ERROR)
    site.caught_up()
    assert site.get(f"/runs/{run.run_id}/output?follow=1").data == b""
    assert site.get(f"/runs/{run.run_id}/output").headers["x-output-complete"] == "true"
    assert site.get(f"/runs/{run.run_id}/output/nope").status == 404
    assert site.get("/runs/r99/output").status == 404


def test_without_the_store_it_says_so(site: Stage) -> None:
    run = site.scheduler.create()
    site.caught_up()
    answer = site.get(f"/runs/{run.run_id}/output")
    assert answer.status == 503
    assert "the store is away" in answer.error["message"]


def test_outputs_are_told_live(site: Stage) -> None:
    site.store.start()
    run = site.scheduler.create()
    site.scheduler.change(run.run_id, State.RUNNING)
    site.caught_up()
    socket = site.socket()
    socket.send(t="sub", id=3, topic="output", run=run.run_id)
    assert socket.expect("out")["streams"] == {}
    site.print_output(run.run_id, b"hello\n")
    assert socket.expect("out")["streams"] == {"output": {"length": 6, "complete": False}}
    site.print_output(run.run_id, b"bye\n", offset=6, end=True)
    until(lambda: socket.expect("out")["streams"]["output"] == {"length": 10, "complete": True})
    assert json.loads(site.get(f"/runs/{run.run_id}/outputs").data)["outputs"]["output"]["lines"] == 2
    socket.close()


def refused(site: Stage, path: str) -> int:
    return site.get(path).status


def ended(site: Stage, data: bytes, *, gap: int = 0, tail: bytes = b"", journal: int | None = None) -> str:
    """Return a run that has printed some bytes, lost some, printed a tail and ended."""
    site.store.start()
    run = site.scheduler.create()
    site.scheduler.change(run.run_id, State.RUNNING)
    site.print_output(run.run_id, data, end=not tail, journal=journal)
    if tail:
        site.print_output(run.run_id, tail, offset=len(data), gap=gap, end=True, journal=journal)
    length = len(data) + gap + len(tail)
    site.scheduler.change(run.run_id, State.SUCCESS, outputs={"output": length}, journal=journal or 0)
    site.caught_up()
    path = f"/runs/{run.run_id}/outputs"
    until(lambda: site.get(path).json["outputs"]["output"]["complete"])
    return run.run_id


def test_a_gap_is_named_in_headers_and_can_be_left_out(site: Stage) -> None:
    head, tail, gap = b"head\n" * 100, b"tail\n" * 100, 3_000_000
    path = f"/runs/{ended(site, head, gap=gap, tail=tail)}/output"
    whole = site.get(path)
    assert whole.data == head + bytes(gap) + tail
    assert whole.headers["x-output-gaps"] == f"500-{500 + gap - 1}"
    assert whole.headers["x-output-lost"] == str(gap)
    cut = site.get(path + "?gaps=skip", headers={"Range": "bytes=3-9"})
    assert (cut.status, cut.data, cut.headers["content-length"]) == (200, head + tail, "1000")
    assert site.get(path, headers={"Range": f"bytes={500 + gap}-{504 + gap}"}).data == b"tail\n"
    assert site.get(path + "?follow=1&gaps=skip").data == head + tail
    assert site.get(path + "?follow=1&gaps=stop").data == head
    assert site.get(path + "?follow=1&gaps=stop", headers={"Range": f"bytes={500 + gap}-"}).data == tail
    assert refused(site, path + "?gaps=stop") == 400


def test_a_search_sends_hits_progress_and_an_end(site: Stage, data: bytes) -> None:
    path = f"/runs/{finished(site, data)}/output/output/search"

    def search(query: str) -> tuple[list[int], dict[str, object]]:
        answer = site.get(f"{path}?{query}")
        assert answer.headers["content-type"] == "application/x-ndjson"
        said = [json.loads(line) for line in answer.data.splitlines()]
        assert [("done" in one) for one in said] == [False] * (len(said) - 1) + [True]
        return [one["line"] for one in said if one.get("t") == "hit"], said[-1]

    lines = data.decode().split("\n")
    hits, end = search("q=line%2012345%20")
    assert (hits, end["hits"], end["next"]) == ([12345], 1, len(data))
    hits, end = search("q=LINE%202999%5Cd%20&regex=1&ignore_case=1")
    assert hits == [number for number, line in enumerate(lines) if line.startswith("line 2999") and line[9] != " "][:10]
    hits, end = search("q=line&limit=700")
    assert (hits, end["hits"]) == (list(range(700)), 700)
    hits, end = search(f"q=line&limit=5&from={end['next']}")
    assert hits == [700, 701, 702, 703, 704]
    for query in ("", "q=", "q=(&regex=1", "q=x&limit=0", "q=x&color=1", "q=" + "x" * 2000):
        assert site.get(f"{path}?{query}").status == 400, query
    answer = site.get(f"{path}?q=x%2B(x%2Bx%2B)%2By&regex=1")
    assert answer.status in (200, 400), "it is answered, found or ended"


def test_a_run_of_an_earlier_database_has_its_own_output(site: Stage) -> None:
    run_id = ended(site, b"of an earlier one\n", journal=77)
    site.print_output(run_id, b"of this one, with the same id\n", end=True)
    assert site.get(f"/runs/{run_id}/output").data == b"of an earlier one\n"
    socket = site.socket()
    socket.send(t="sub", id=3, topic="output", run=run_id)
    until(lambda: socket.expect("out")["streams"] == {"output": {"length": 18, "complete": True}})
    socket.close()


def test_what_cannot_be_read_is_said_and_not_hung_up_on(site: Stage, data: bytes) -> None:
    path = f"/runs/{finished(site, data)}/output"
    kept = max((file for file in site.home.output.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    site.store.end()
    with kept.open("r+b") as file:
        file.seek(200)
        file.write(bytes(64))
    site.store.start()
    until(lambda: site.get(f"{path}s").status == 200)
    answer = site.get(path)
    assert answer.status >= 400
    assert "damaged" in answer.json["error"]["message"]
    head = site.call("HEAD", path)
    assert (head.status, head.headers["content-length"]) == (200, str(len(data)))
