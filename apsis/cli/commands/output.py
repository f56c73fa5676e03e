"""`apsis output`: print what a run printed."""

import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from apsis.cli.connection import PATIENCE, Connection, connected
from apsis.cli.finding import no_such_run
from apsis.cli.terminal import note
from apsis.cli.words import stream_names
from apsis.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from apsis.client import Client

_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@click.command()
@click.argument("run_id", metavar="ID")
@click.argument("stream", required=False, metavar="[NAME]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed, until the run has ended.")
@click.option("-n", "--tail", type=click.IntRange(1, 5000), metavar="N", help="Begin with the last N lines.")
@click.option("--head", type=click.IntRange(1), metavar="N", help="The first N lines alone.")
@click.option("--range", "span", metavar="A-B", help="Bytes A to B alone, counted from 0.")
@click.option("--grep", "wanted", metavar="TEXT", help="The lines that hold a text alone, with their numbers.")
@click.option("-E", "--regex", is_flag=True, help="With --grep: TEXT is a regular expression.")
@click.option("-i", "--ignore-case", is_flag=True, help="With --grep: upper and lower case are the same.")
@click.option("--no-ansi", is_flag=True, help="Without colours and other terminal codes.")
@connected
def command(
    connection: Connection, run_id: str, stream: str | None, follow: bool, tail: int | None, head: int | None,
    span: str | None, wanted: str | None, regex: bool, ignore_case: bool, no_ansi: bool,
) -> None:  # fmt: skip
    """Print the bytes that run ID printed; NAME is output, or stdout or stderr where they are kept apart.

    A broken connection is taken up again where it broke. What was left out of a large output is marked on a
    terminal; elsewhere the bytes are as they are, and a note of it goes to stderr.
    """
    if wanted is None and (regex or ignore_case):
        raise BadRequest("--regex and --ignore-case go with --grep")
    if wanted is not None and (follow or tail or head or span):
        raise BadRequest("--grep looks through the whole output: leave out --follow, --tail, --head and --range")
    if sum(one is not None for one in (tail, head, span)) > 1 or (follow and (head or span)):
        raise BadRequest("--tail, --head and --range exclude each other, and --follow goes with --tail alone")
    bounds = None if span is None else _bounds(span)
    client = connection.client(patience=PATIENCE if follow else 0.0)
    name = _chosen_stream(client, run_id, stream)
    if wanted is not None:
        _print_hits(client.search_output(run_id, name, wanted, regex=int(regex), ignore_case=int(ignore_case)))
        return
    client.on_gap = _mark_gap
    pieces = _pieces(client, run_id, name, follow=follow, tail=tail, bounds=bounds)
    try:
        for data in _first_lines(pieces, head):
            sys.stdout.buffer.write(_ANSI.sub(b"", data) if no_ansi else data)
            sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        note(f"\nStopped watching; the run goes on.  To stop it: apsis stop {run_id}")
        raise


def _mark_gap(start: int, stop: int) -> None:
    """Say what is missing: in its place on a terminal, beside the bytes where they go on to a program or a file."""
    words = f"... {stop - start:,} bytes left out ..."
    if sys.stdout.isatty():
        sys.stdout.buffer.write(f"\n{words}\n".encode())
        sys.stdout.buffer.flush()
    else:
        note(f"({words} from byte {start:,} on)")


def _print_hits(hits: Iterable[dict[str, Any]]) -> None:
    for hit in hits:
        sys.stdout.buffer.write(f"{hit['line'] + 1}:{hit['text']}\n".encode(errors="surrogateescape"))
        sys.stdout.buffer.flush()


def _chosen_stream(client: "Client", run_id: str, given: str | None) -> str:
    """Return the stream that is meant: the one named, else the run's only one, else stdout, saying so.

    Raises:
        NotFound: there is no such run, or it has no such stream.
    """
    try:
        names = list(client.outputs(run_id)) or stream_names(client.run(run_id))
    except NotFound:
        raise no_such_run(client, run_id) from None
    if given is not None:
        if given not in names:
            raise NotFound(f"{run_id} has no output {given!r}", hint=f"It has: {', '.join(names)}")
        return given
    if "output" in names:
        return "output"
    if "stderr" in names:
        note(f"(stdout; there is stderr too: apsis output {run_id} stderr)")
        return "stdout"
    return names[0]


def _bounds(span: str) -> tuple[int, int | None]:
    """Return the first byte and the one after the last; None: to the end."""
    match = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})?", span)
    if match is None:
        raise BadRequest(f"--range {span!r} is no range", hint="write A-B, e.g. 0-1023, or A-")
    first, stop = int(match[1]), int(match[2]) + 1 if match[2] else None
    if stop is not None and stop <= first:
        raise BadRequest(f"--range {span!r} ends before it begins", hint="write A-B with A no more than B, e.g. 0-1023")
    return first, stop


def _pieces(
    client: "Client", run_id: str, name: str, *, follow: bool, tail: int | None, bounds: tuple[int, int | None] | None
) -> Iterable[bytes]:
    if bounds is not None:
        length = client.outputs(run_id).get(name, {}).get("length", 0)
        stop = length if bounds[1] is None else min(length, bounds[1])
        return client.read_output(run_id, name, bounds[0], stop) if bounds[0] < stop else ()
    start = 0
    if tail is not None:
        lines = client.tail(run_id, name, tail)["lines"]
        start = lines[0]["offset"] if lines else 0
    return client.follow_output(run_id, name, start) if follow else client.read_output(run_id, name, start)


def _first_lines(pieces: Iterable[bytes], count: int | None) -> Iterable[bytes]:
    for data in pieces:
        if count is None:
            yield data
            continue
        lines = data.split(b"\n", count)
        if len(lines) > count:
            yield data[: len(data) - len(lines[count])]
            return
        count -= len(lines) - 1
        yield data
