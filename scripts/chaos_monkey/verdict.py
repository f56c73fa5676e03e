"""What is wrong with one run, given all that is known of it. Pure: nothing is read here."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from apsis.runs.run import Run
from apsis.runs.states import FINISHED, State
from chaos_monkey.evidence import Met
from chaos_monkey.ledger import Notes
from chaos_monkey.plan import Unit
from chaos_monkey.program import printed

#: kinds of faults, in the order of the table
KINDS: Final = ("lost", "twice", "unfinished", "bytes", "status", "other")
#: what Apsis says of a run whose program never began because its shim was killed before
_NEVER: Final = "before it had started"


@dataclass(frozen=True, slots=True)
class Fault:
    """One promise that was not kept, and in what way."""

    kind: str
    run_id: str
    what: str


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of one run."""

    unit: Unit
    run: Run
    notes: Notes
    met: Met
    #: `stop` or `kill`, where a person's was taken up
    act: str | None
    #: stream: its bytes, as REST gives them
    outputs: dict[str, bytes] = field(default_factory=dict)


def is_unknown(run: Run) -> bool:
    """Whether the run says that what became of it is not known."""
    return run.state is State.ERROR and run.exit is not None and "unknown" in run.exit.error


def is_never(run: Run) -> bool:
    """Whether the run says that its program was never started."""
    if run.state is State.SKIPPED:
        return True
    return run.state is State.ERROR and run.exit is not None and _NEVER in run.exit.error


def judge(case: Case) -> list[Fault]:
    """Return everything that is wrong with a run."""
    run = case.run
    if run.state not in FINISHED:
        return [Fault("unfinished", run.run_id, f"it is {run.state.value}: {run.reason}")]
    found = [*_starts(case), *_status(case), *_bytes(case)]
    return [Fault(kind, run.run_id, what) for kind, what in found]


def _starts(case: Case) -> Iterator[tuple[str, str]]:
    run, starts = case.run, len(case.notes.pids)
    if starts > 1:
        yield "twice", f"its program was started {starts} times, as {case.notes.pids}"
    elif is_never(run):
        if starts:
            yield "status", f"it says that it never started ({run.reason}), and its program was started"
        elif run.state is State.SKIPPED and case.act is None:
            yield "lost", f"it was skipped, and nobody asked for that: {run.reason}"
        elif run.state is State.ERROR and not case.met.shim:
            yield "lost", f"it never started, and its shim was not killed: {run.reason}"
    # who is stopped before its first line in the ledger has started all the same
    elif not starts and not is_unknown(run) and case.act is None:
        yield "lost", f"it ended ({run.state.value}: {run.reason}), and its program was never started"


def _status(case: Case) -> Iterator[tuple[str, str]]:
    run = case.run
    if is_never(run):
        return
    if is_unknown(run):
        assert run.exit is not None
        around_start = "start" in run.exit.error.partition("unknown")[2]
        if not case.met.shim or not (case.met.zygote or around_start):
            yield "status", f"it says {run.exit.error!r}, and of those who knew not all were killed: {case.met}"
        return
    exit_ = run.exit
    end = None if exit_ is None else (exit_.code, exit_.signal)
    ends = _possible_ends(case)
    if end not in ends:
        yield "status", f"it says {exit_}, and can only have ended as (code, signal) in {sorted(map(str, ends))}"
        return
    assert exit_ is not None
    state = _state_of(case)
    if state is not None and run.state is not state:
        yield "status", f"it is {run.state.value} and not {state.value}: {exit_}, {case.act}"
    used = run.rusage
    if case.met.shim and case.met.zygote:
        return  # the kernel still told how it ended; what it used only its parents were told
    if used is None or used.maxrss <= 0 or (case.notes.ended and used.utime + used.stime <= 0):
        yield "status", f"what it used is missing: {used}"


def _possible_ends(case: Case) -> set[tuple[int | None, int | None]]:
    unit = case.unit
    ends: set[tuple[int | None, int | None]] = set()
    if case.notes.ended:
        ends.add((None, unit.signal) if unit.signal else (unit.code, None))
    if case.met.program or case.act:
        ends.add((None, int(signal.SIGKILL)))
    if case.act == "stop":
        ends.add((None, int(signal.SIGTERM)))
    return ends


def _state_of(case: Case) -> State | None:
    """Return the state that the exit means; None: where a stop came in between, both may be."""
    exit_ = case.run.exit
    assert exit_ is not None
    if exit_.code is not None:
        return State.SUCCESS if exit_.code == 0 else State.FAILURE
    return None if case.act == "stop" and exit_.signal == signal.SIGTERM else State.FAILURE


def _bytes(case: Case) -> Iterator[tuple[str, str]]:
    for stream, (name, planned) in case.unit.sizes.items():
        data = case.outputs.get(stream, b"")
        noted = case.notes.written[name]
        size = len(data)
        least = planned if case.notes.ended else noted
        if not least <= size <= planned:
            yield "bytes", f"{stream} has {size} bytes; its program printed {least} of {planned}"
        if data != printed(case.unit.number, name, 0, size):
            yield "bytes", f"{stream} is not what its program printed: {_difference(case.unit.number, name, data)}"
        told = case.run.outputs.get(stream)
        if told is not None and told != size:
            yield "bytes", f"{stream} has {size} bytes, and the run says {told}"


def _difference(number: int, name: str, data: bytes) -> str:
    right = printed(number, name, 0, len(data))
    at = next(at for at, (mine, other) in enumerate(zip(data, right, strict=True)) if mine != other)
    return f"at {at} of {len(data)} it has {data[at : at + 80]!r}, which should be {right[at : at + 80]!r}"
