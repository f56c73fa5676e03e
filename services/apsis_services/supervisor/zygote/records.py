"""The lines of a run's journal: their shapes, and how they are written and read as bytes.

Each line is eight hex digits (CRC-32 of what follows), a blank, and a JSON object whose `e` names the
record. Lines are only ever added. The file is longer than its lines (space is allocated ahead, so
that a full disk cannot lose a status), and whoever writes it may be killed within a line: what is
read is always the longest prefix of whole lines.
"""

import zlib
from typing import Any, Final, NotRequired, TypedDict

from apsis_services.supervisor.zygote.notation import decode, encode

#: what follows what; a journal's phase is the last of these that it holds
PHASES: Final = ("none", "claim", "started", "result", "done", "revoked")
VERSION: Final = 1

Record = dict[str, Any]


class StopFacts(TypedDict):
    """The stop policy: `signal` (number) first, KILL after `grace` seconds."""

    signal: int
    grace: float


class TimeoutFacts(TypedDict):
    """After `duration` seconds `signal` is sent once, then the grace period, then KILL."""

    duration: float
    signal: int


class Claim(TypedDict):
    """The run is taken: nobody else may start it. `pid` and `ticks` are the shim's."""

    e: str
    v: int
    journal: int
    run_id: str
    dispatch: int
    job_id: str
    schedule_time: str | None
    args: dict[str, str]
    args_hash: str
    #: the spool's epoch, as the program's APSIS_SPOOL has it; with the run id, the tag of its descendants
    epoch: str
    streams: str
    stop: StopFacts
    timeout: TimeoutFacts | None
    leftovers: str
    #: what the scheduler wants to be told again of the run, should its database lose it
    memo: dict[str, Any]
    #: bytes of output kept, head and tail; None: all
    max_bytes: int | None
    #: how long the output is kept: fields of `KeepPolicy`
    keep: dict[str, Any] | None
    #: the kernel's limits of each process, where any were asked for
    limits: NotRequired[dict[str, int]]
    #: path of the run's control group, and its limits, where it was to have one
    group: NotRequired[str]
    group_limits: NotRequired[dict[str, float | None]]
    boot: str
    pid: int
    ticks: int
    at: str


class Started(TypedDict):
    """The program runs: who it is, and when it began (UTC text; seconds on the monotonic clock)."""

    e: str
    pid: int
    ticks: int
    boot: str
    at: str
    mono: float


class Adopted(TypedDict):
    """The shim was killed, and the zygote with this pid has taken the lock and the program."""

    e: str
    pid: int
    ticks: int
    at: str


class Stuck(TypedDict):
    """The program does not end although it was sent KILL; more is tried."""

    e: str
    pid: int
    #: its state as the kernel names it in one letter; D: it waits for the kernel, which no signal interrupts
    state: str
    at: str


class Result(TypedDict):
    """How the program ended. Of `code`, `signal` and `error` exactly one is set."""

    e: str
    code: int | None
    signal: int | None
    #: why it could not be started, or why its status cannot be known
    error: str
    killed_by: str
    stopped: bool
    timed_out: bool
    start: str | None
    end: str
    #: seconds on the monotonic clock; 0 if it never started
    elapsed: float
    #: fields of `apsis.runs.run.Usage`, bytes and seconds; empty if it never started
    rusage: dict[str, float]
    #: the smallest `maxrss` that could be seen: what the shim itself had in memory when it began the program
    maxrss_floor: int


class Done(TypedDict):
    """Nothing of the run is left, or nothing that could be ended."""

    e: str
    at: str
    #: of the program and of all its descendants that were waited for here
    rusage: dict[str, float]
    #: descendants that could not be ended
    leftovers: int
    #: descendants that were left alone, as `leftovers: leave` asks
    left: int
    #: stream: final length in bytes
    outputs: dict[str, int]


class Revoked(TypedDict):
    """The claim was taken so that the run never starts."""

    e: str
    v: int
    journal: int
    run_id: str
    dispatch: int
    by: str
    at: str


def encode_record(record: Record) -> bytes:
    """Return a record as its line."""
    text = encode(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def parse_records(data: bytes) -> tuple[list[Record], int]:
    """Return the records of the longest prefix of whole lines, and that prefix's length in bytes."""
    records: list[Record] = []
    at = 0
    while (end := data.find(b"\n", at)) >= 0:
        line = data[at:end]
        if len(line) < 11 or line[:8] != b"%08x" % zlib.crc32(line[9:]) or line[8:9] != b" ":
            break
        records.append(decode(line[9:]))
        at = end + 1
    return records, at
