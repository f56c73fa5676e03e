"""One run that prints a gigabyte, followed meanwhile: how fast the store takes it, and what it costs the others."""

import asyncio
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from benchmarks.usage import cpu, pss
from harness.installation import Installation, until

GB: Final = 1_000_000_000
#: prints `size` bytes of numbered lines, as fast as it can
PRINT: Final = r"""
params: [size]
program:
  type: program
  argv:
    - python3
    - -c
    - |
      import os, sys
      size = int(sys.argv[1])
      words = b"2026-06-30T14:32:07.120 INFO worker %02d took item %08d of batch %06d in %d ms\n"
      part = b"".join(words % (n % 16, n * 7919 % 99999999, n // 64, n * 31 % 997) for n in range(14000))
      while size > 0:
          size -= os.write(1, part[:size])
    - "{{ size }}"
output: {max_bytes: 4000000000}
"""
JOBS: Final = {"print": PRINT, "small": "program: {type: program, argv: [/bin/echo, hello]}\n"}


@dataclass
class Followed:
    """What came of an output that was followed in two ways at once."""

    bytes: int = 0
    #: lengths told by the websocket
    words: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Figures:
    """What one large output showed."""

    #: bytes a second: printed, into the store, to the follower
    printed: float
    stored: float
    followed: float
    words: int
    #: service: seconds of CPU, growth of PSS in bytes at its peak
    cpu: dict[str, float]
    growth: dict[str, int]
    #: bytes on the disk of the store's index
    index: int
    #: seconds from making a small run to its success, while the large one printed
    small: list[float]


def large_output(home: Installation, size: int) -> Figures:
    """Have one run print `size` bytes, follow it, and run small ones beside it."""
    for _ in range(3):
        _small(home)
    before, memory = cpu(home), pss(home)
    peak = dict(memory)
    began = time.monotonic()
    run_id = home.make("print", args={"size": str(size)})[0]["run_id"]
    followed = Followed()
    follower = threading.Thread(target=_follow, args=(home, run_id, followed), daemon=True)
    listener = threading.Thread(target=_listen, args=(home, run_id, followed), daemon=True)
    follower.start()
    listener.start()
    times: dict[str, float] = {}
    small: list[float] = []

    def look() -> bool:
        for name, now in pss(home).items():
            peak[name] = max(peak.get(name, 0), now)
        passed = time.monotonic() - began
        stat = home.call("GET", f"/runs/{run_id}/outputs")["outputs"].get("output", {"length": 0})
        if stat["length"] >= size:
            times.setdefault("stored", passed)
        if home.run(run_id)["state"] == "success":
            times.setdefault("printed", passed)
        if not follower.is_alive():
            times.setdefault("followed", passed)
        return len(times) == 3

    def turn() -> bool:
        if look():
            return True
        if "stored" not in times:
            small.append(_small(home))
        return look()

    until(turn, 300, f"{size} bytes to be printed, stored and read", every=0.2)
    if followed.errors or followed.bytes != size:
        sys.exit(f"the follower got {followed.bytes} of {size} bytes: {followed.errors}")
    used = cpu(home)
    return Figures(
        printed=size / times["printed"],
        stored=size / times["stored"],
        followed=size / times["followed"],
        words=followed.words,
        cpu={name: used[name] - before.get(name, 0.0) for name in sorted(used)},
        growth={name: peak[name] - memory[name] for name in sorted(memory)},
        index=sum(path.stat().st_size for path in (home.home / "output").glob(f"*/*-{run_id}/output.index")),
        small=small,
    )


def _small(home: Installation) -> float:
    """Run a small program to its end; return the seconds that it took."""
    began = time.monotonic()
    run_id = home.make("small")[0]["run_id"]
    until(lambda: home.run(run_id)["state"] == "success", 60, "a small run", every=0.02)
    return time.monotonic() - began


def _token(home: Installation) -> str:
    return (home.home / "token").read_text().strip()


def _follow(home: Installation, run_id: str, followed: Followed) -> None:
    request = urllib.request.Request(
        f"{home.url}/api/v1/runs/{run_id}/output?follow=1", headers={"Authorization": f"Bearer {_token(home)}"}
    )
    _noting(followed, lambda: _read(request, followed))


def _read(request: urllib.request.Request, followed: Followed) -> None:
    with urllib.request.urlopen(request, timeout=60) as answer:
        while data := answer.read1(1 << 20):
            followed.bytes += len(data)


def _listen(home: Installation, run_id: str, followed: Followed) -> None:
    async def listen() -> None:
        url = home.url.replace("http", "ws", 1) + "/api/v1/ws"
        request = HTTPRequest(url, headers={"Authorization": f"Bearer {_token(home)}"})
        socket = await websocket_connect(request, subprotocols=["apsis.v1.json"])
        await socket.write_message(json.dumps({"t": "sub", "id": 1, "topic": "output", "run": run_id}))
        while (message := await socket.read_message()) is not None:
            said: dict[str, Any] = json.loads(message)
            if said.get("t") == "out":
                followed.words += 1
                if said["streams"].get("output", {}).get("complete"):
                    break
        socket.close()

    _noting(followed, lambda: asyncio.run(listen()))


def _noting(followed: Followed, work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - of a thread: whoever waits for the figures says it
        followed.errors.append(f"{type(error).__name__}: {error}")
