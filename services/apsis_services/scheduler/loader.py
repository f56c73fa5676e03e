"""The loader: a process of its own that reads the job directory, so that no due run waits for it and no YAML stays.

`python -m apsis_services.scheduler.loader DIR [DATABASE]`, with an `Order` on its standard input, as JSON. What the
scheduler knows stands in its database; on the output come only differences to it, as they are found: frames of four
bytes that say how long the JSON after them is, each a `Part`, the last one a `Reading`. Then it ends.
"""

import os
import sqlite3
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from apsis.failpoints import reach
from apsis.messages.body import decode, encode
from apsis_services.scheduler.readings import Known, Order, Part, Read, Reading

#: jobs in one frame: few enough that decoding them holds up nobody
_PART: Final = 50
#: how much less than others an ordinary reading is to get of a busy processor
_NICE: Final = 5
#: milliseconds to wait for a database that is being changed
_BUSY: Final = 5000


def known_jobs(database: Path) -> dict[str, Known]:
    """Return the jobs that the scheduler has, as it has committed them."""
    sql = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        sql.execute(f"PRAGMA busy_timeout = {_BUSY}")
        rows = sql.execute("SELECT job_id, hash, doc FROM job").fetchall()
    finally:
        sql.close()
    return {job_id: Known(version, decode(_Filed, doc).file) for job_id, version, doc in rows}


class _Filed(msgspec.Struct, frozen=True):
    """What is needed of a job's document."""

    file: str = ""


class Sender:
    """Sends frames to the scheduler."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._waiting: list[Read] = []

    def add(self, job: Read) -> None:
        """Send a job, with the next ones."""
        self._waiting.append(job)
        if len(self._waiting) >= _PART:
            self._flush()

    def end(self, reading: Reading) -> None:
        """Send what remains."""
        self._flush()
        self._send(reading)

    def _flush(self) -> None:
        if self._waiting:
            self._send(Part(self._waiting))
            self._waiting = []

    def _send(self, body: Part | Reading) -> None:
        data = encode(body)
        self._write(len(data).to_bytes(4, "big") + data)


def main() -> None:
    """Read, tell, remember, end."""
    order: Order = decode(Order, sys.stdin.buffer.read() or b"{}")
    if order.aside:
        os.nice(_NICE)
    reach("loader.began")
    from apsis import extensions
    from apsis.times.instants import EPOCH
    from apsis_services.scheduler.comparing import Comparison
    from apsis_services.scheduler.job_cache import circumstances, remember, remembered

    extensions.configure(order.aliases)
    directory, database = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
    memory = cache_of(database) if database else None
    known = known_jobs(database) if database else {}
    surroundings = circumstances(directory, order.aliases)
    before = remembered(memory, surroundings) if memory else {}
    now = max(EPOCH, datetime.now(UTC))
    comparison = Comparison(directory, known, before, now, frozenset(order.anew))
    try:
        sender = Sender(lambda data: (sys.stdout.buffer.write(data), sys.stdout.buffer.flush()))
        reading = comparison.read(sender.add)
        reach("loader.read")
        sender.end(reading)
    except BrokenPipeError:
        os._exit(1)  # the scheduler that asked was killed: the next one asks anew, and nobody is there to be told
    reach("loader.told")
    if memory and not reading.unreadable and comparison.entries != before:
        try:
            remember(memory, surroundings, comparison.entries)
        except OSError as error:
            print(f"loader: {memory} cannot be written ({error.strerror}); readings take longer", file=sys.stderr)
        reach("loader.remembered")


def cache_of(database: Path) -> Path:
    """Return the file in which the loader remembers what it has read."""
    return database.with_name(f"{database.name}.job-files")


if __name__ == "__main__":
    import gc

    # all that is made here is kept until the end: there is nothing to collect
    gc.disable()
    main()
