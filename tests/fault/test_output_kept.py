"""What runs print is kept to the byte, whatever is killed; a log bomb is cut, told, and slows nobody else down."""

import contextlib
import os
import random
import signal
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import say
from harness.installation import Installation, until

MIB = 1 << 20

#: prints `count` lines, each with its number, in `parts` with a pause of `pause` seconds between
LINES = r"""
params: [count, parts, pause]
program:
  type: program
  argv:
    - python3
    - -c
    - |
      import os, sys, time
      count, parts, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
      def write(data):
          while data:
              data = data[os.write(1, data):]
      for part in range(parts):
          first, last = count * part // parts, count * (part + 1) // parts
          write(b"".join(b"line %09d of those that a program prints\n" % number for number in range(first, last)))
          time.sleep(pause)
    - "{{ count }}"
    - "{{ parts }}"
    - "{{ pause }}"
"""
#: prints `size` bytes of a pattern as fast as it can
BOMB = r"""
params: [size, what]
program:
  type: program
  argv:
    - python3
    - -c
    - |
      import os, sys
      size, what = int(sys.argv[1]), sys.argv[2]
      part = {"lines": b"a line of a log bomb\n", "nul": b"\0", "one": b"x", "broken": b"\xff\xc3(\xf0\x9f"}[what]
      part = part * (262144 // len(part))
      while size > 0:
          size -= os.write(1, part[:size])
    - "{{ size }}"
    - "{{ what }}"
"""
JOBS = {
    "lines": LINES,
    "capped": LINES + "output: {max_bytes: 1000000}\n",
    "bomb": BOMB + "output: {max_bytes: 4194304}\n",
    "whole": BOMB + "output: {max_bytes: 4294967296}\n",
    "small": "program: {type: program, argv: [/bin/echo, hello]}\n",
    "last": "program: {type: program, argv: [/bin/echo, hello]}\noutput: {keep: {count: 1}}\n",
    "two": "program: {type: shell, command: 'for n in 1 2 3; do echo out $n; echo err $n >&2; done'}\n"
    "output: {streams: split}\n",
}


def lines(count: int) -> bytes:
    return b"".join(b"line %09d of those that a program prints\n" % number for number in range(count))


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """One installation for all; what a test kills comes back."""
    with Installation(JOBS) as found:
        yield found


@pytest.fixture
def fresh() -> Iterator[Installation]:
    """One whose configuration a test may change."""
    with Installation(JOBS) as found:
        yield found


def start(place: Installation, job: str, **args: object) -> str:
    run_id = place.make(job, args={name: str(value) for name, value in args.items()})[0]["run_id"]
    assert isinstance(run_id, str)
    return run_id


def kept(place: Installation, run_id: str, stream: str = "output") -> dict[str, object]:
    found: dict[str, object] = place.call("GET", f"/runs/{run_id}/outputs")["outputs"].get(stream, {})
    return found


def until_complete(place: Installation, run_id: str, seconds: float = 60) -> None:
    until(lambda: bool(kept(place, run_id).get("complete")), seconds, f"all output of {run_id}")


def without(whole: bytes, gaps: list[tuple[int, int]]) -> bytes:
    """Return what lies between the gaps."""
    edges = [0, *(edge for gap in gaps for edge in gap), len(whole)]
    return b"".join(whole[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True))


def used(folder: Path) -> int:
    """Return the bytes of disk below a folder, holes not counted; what goes away meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(f"{place}/{name}").st_blocks * 512
    return total


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(2, 12))])
def test_output_is_exact_to_the_byte_through_kills_of_all_who_carry_it(place: Installation, seed: int) -> None:
    chance = random.Random(seed)
    runs = [start(place, "lines", count=count, parts=20, pause=0.2) for count in (300, 20_000, 200_000)]
    until(lambda: all(place.run(run_id)["state"] == "running" for run_id in runs), 30, "three runs")
    for _ in range(6):
        time.sleep(chance.uniform(0.1, 0.6))  # nothing to wait for: any moment will do
        name = chance.choice(["store", "supervisor", "hub"])
        if name in place.processes():
            place.kill(name)
    until(lambda: all(place.run(run_id)["state"] == "success" for run_id in runs), 90, "three ends")
    for run_id, count in zip(runs, (300, 20_000, 200_000), strict=True):
        until_complete(place, run_id)
        assert kept(place, run_id)["gaps"] == []
        assert place.output(run_id) == lines(count)


@pytest.mark.timeout(120)
def test_a_cap_outlives_the_supervisor_and_the_gap_is_told_everywhere(place: Installation) -> None:
    run_id = start(place, "capped", count=200_000, parts=10, pause=0.3)
    until(lambda: bool(kept(place, run_id).get("length")), 20, "the first lines")
    place.kill("supervisor")
    until(lambda: place.run(run_id)["state"] == "success", 60, "the end")
    until_complete(place, run_id)

    whole = lines(200_000)
    gap = (750_000, len(whole) - 250_000)
    assert kept(place, run_id)["gaps"] == [list(gap)]
    assert kept(place, run_id)["length"] == len(whole)
    cut = whole[: gap[0]] + whole[gap[1] :]
    assert place.request("GET", f"/runs/{run_id}/output?gaps=skip") == cut
    assert place.output(run_id) == whole[: gap[0]] + bytes(gap[1] - gap[0]) + whole[gap[1] :], "offsets do not move"
    said = say(place.home, "apsis", "output", run_id)
    assert said.out.encode() == cut
    assert f"... {gap[1] - gap[0]:,} bytes left out ..." in said.err
    said = say(place.home, "apsis", "output", "--follow", run_id)
    assert said.out.encode() == cut
    said = say(place.home, "apsis", "output", "--grep", "line 000000007 ", run_id)
    assert said.out == "8:line 000000007 of those that a program prints\n"


def bombed(place: Installation, size: int, most: int) -> None:
    """Have a run print `size` bytes, and assert that others go on, and that disk and memory stay bounded."""
    for _ in range(2):
        first = start(place, "small")
        until(lambda first=first: place.run(first)["state"] == "success", 30, "a first run")
    before = {name: resident(pid) for name, pid in place.processes().items()}
    bomb = start(place, "bomb", size=size, what="lines")
    until(lambda: place.run(bomb)["state"] in ("running", "success"), 30, "the bomb")
    finished = 0
    highest = dict(before)
    disk = 0
    while place.run(bomb)["state"] == "running" or not finished:
        small = start(place, "small")
        until(lambda small=small: place.run(small)["state"] == "success", 30, "a run beside the bomb")
        finished += 1
        disk = max(disk, used(place.home / "spool") + used(place.home / "output"))
        for name, pid in place.processes().items():
            highest[name] = max(highest.get(name, 0), resident(pid))
    until_complete(place, bomb)
    assert kept(place, bomb)["length"] == size
    assert disk <= most, "holes were made into what is not kept"
    growth = {name: highest[name] - before[name] for name in before}
    assert all(grown <= 32 * MIB for grown in growth.values()), growth


@pytest.mark.timeout(180)
def test_a_log_bomb_slows_nobody_down_and_fills_neither_disk_nor_memory(place: Installation) -> None:
    bombed(place, 400 * MIB, 200 * MIB)


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_gigabyte_a_second_for_ten_seconds_slows_nobody_down(place: Installation) -> None:
    bombed(place, 10_000 * MIB, 2_000 * MIB)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("what", "part"), [("one", b"x"), ("nul", b"\0"), ("broken", b"\xff\xc3(\xf0\x9f")], ids=["one", "nul", "broken"]
)
def test_one_long_line_and_bytes_that_are_no_text_are_kept_as_they_are(
    place: Installation, what: str, part: bytes
) -> None:
    size = 12 * MIB + 7
    run_id = start(place, "whole", size=size, what=what)
    until(lambda: place.run(run_id)["state"] == "success", 60, "the end")
    until_complete(place, run_id)
    part *= 262144 // len(part)
    assert place.output(run_id) == written(part, size)
    for path in ("lines?from=0&count=10", "tail?count=10"):
        assert len(place.call("GET", f"/runs/{run_id}/output/output/{path}")["lines"]) >= 1
    found = place.request("GET", f"/runs/{run_id}/output/output/search?q=nothing-of-this")
    assert b'"done":true' in found


def written(part: bytes, size: int) -> bytes:
    """Return what the job prints: whole parts, then a cut one; a short write begins the part anew."""
    return (part * (size // len(part) + 1))[:size]


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_a_line_of_half_a_gigabyte_slows_nobody_down(place: Installation) -> None:
    run_id = start(place, "whole", size=500_000_000, what="one")
    until(lambda: bool(kept(place, run_id).get("length")), 30, "its beginning")
    for _ in range(5):
        small = start(place, "small")
        until(lambda small=small: place.run(small)["state"] == "success", 30, "a run beside it")
    until_complete(place, run_id, 300)
    assert kept(place, run_id)["lines"] == 1
    assert resident(place.service("store")) < 150 * MIB


@pytest.mark.timeout(120)
def test_retention_keeps_what_was_asked_for_and_says_what_became_of_the_rest(place: Installation) -> None:
    runs = []
    for _ in range(3):
        runs.append(start(place, "last"))
        until(lambda: place.run(runs[-1])["state"] == "success", 30, "the end")
        until_complete(place, runs[-1])

    def gone(run_id: str) -> bool:
        try:
            place.request("GET", f"/runs/{run_id}/output")
        except urllib.error.HTTPError as error:
            return error.code == 410
        return False

    until(lambda: gone(runs[0]) and gone(runs[1]), 30, "two removals")
    assert place.output(runs[2]) == b"hello\n"
    said = say(place.home, "apsis", "output", runs[0])
    assert said.code != 0
    assert "removed on" in said.err
    assert "by retention" in said.err


@pytest.mark.timeout(120)
def test_split_streams_are_two_outputs(place: Installation) -> None:
    run_id = start(place, "two")
    until(lambda: place.run(run_id)["state"] == "success", 30, "the end")
    until(lambda: bool(kept(place, run_id, "stderr").get("complete")), 30, "both")
    assert place.request("GET", f"/runs/{run_id}/output/stdout") == b"out 1\nout 2\nout 3\n"
    assert place.request("GET", f"/runs/{run_id}/output/stderr") == b"err 1\nerr 2\nerr 3\n"


@pytest.mark.timeout(120)
def test_on_a_full_disk_the_middle_that_the_store_has_not_got_is_given_up_and_told(fresh: Installation) -> None:
    config = fresh.home / "apsis.yaml"
    config.write_text(config.read_text() + "\noutput: {spare: 100}\n")  # no disk has that much free
    fresh.control("restart", "supervisor")
    store = fresh.service("store")
    os.kill(store, signal.SIGSTOP)
    try:
        run_id = start(fresh, "whole", size=100 * MIB, what="lines")
        until(lambda: fresh.run(run_id)["state"] == "success", 60, "the end")
        until(lambda: used(fresh.home / "spool") < 20 * MIB, 30, "holes in the spool")
    finally:
        os.kill(store, signal.SIGCONT)
    until_complete(fresh, run_id)
    said = kept(fresh, run_id)
    # one gap, or one for each look at the disk while it was still printing
    gaps: list[tuple[int, int]] = said["gaps"]  # type: ignore[assignment]
    assert said["length"] == 100 * MIB
    assert sum(stop - start for start, stop in gaps) > 80 * MIB
    part = b"a line of a log bomb\n" * (262144 // 21)
    whole = written(part, 100 * MIB)
    assert fresh.request("GET", f"/runs/{run_id}/output?gaps=skip") == without(whole, gaps)
