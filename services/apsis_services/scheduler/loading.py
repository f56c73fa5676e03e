"""Having the job directory read by the loader's process, and making jobs of what it says."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from apsis.calendars.finder import Calendars
from apsis.jobs.job import Job, JobError
from apsis.jobs.parse import parse_job
from apsis.messages.body import decode, encode
from apsis.runs.core.inputs import Asked, JobsLoaded
from apsis_services.scheduler.readings import Order, Part, Read, Reading

log = logging.getLogger("scheduler")

#: jobs parsed between two looks at what else is to be done
_SLICE: Final = 10
#: seconds of silence after which a loader is given up: the directory lies on a file system that hangs
_SILENT: Final = 120.0
#: bytes of one frame; a job file has at most one MiB, and a part 50 of them, escaped
_FRAME_MAX: Final = 512 << 20


class Loading:
    """Knows where the jobs are. Calendars are found beside them; each reading looks at their files anew."""

    def __init__(self, directory: Path, database: Path, aliases: Mapping[str, Mapping[str, str]]) -> None:
        self.directory = directory
        self._database = database
        self._aliases = {kind: dict(names) for kind, names in aliases.items()}
        self._calendars = self._open_calendars()
        #: a loader has its order
        self.told = asyncio.Event()

    def parse(self, job_id: str, definition: dict[str, Any]) -> Job:
        """Return the job of a definition; raises JobError."""
        return parse_job(job_id, definition, calendars=self._calendars)

    async def load(
        self, asked: Asked | None, *, force: bool, anew: Collection[str] = (), aside: bool = True
    ) -> JobsLoaded:
        """Read the directory, without holding up the loop; `anew` names jobs that we lack, though they are stored.

        Not `aside`: nothing else is to be done meanwhile.
        """
        calendars = self._open_calendars()
        jobs: dict[str, Job] = {}
        errors: list[dict[str, Any]] = []
        refused: set[str] = set()
        order = Order(aliases=self._aliases, anew=sorted(anew), aside=aside)
        try:
            async with self._asking(order) as answer:
                async for read in answer.jobs():
                    if (job := _parsed(read, calendars, errors)) is not None:
                        await _prepare(job)
                        jobs[read.job_id] = job
                    else:
                        refused.add(read.job_id)
                    if (len(jobs) + len(refused)) % _SLICE == 0:
                        await asyncio.sleep(0)
        except LoaderFailed as error:
            log.warning("%s", error, extra={"event": "loader_failed"})
            return JobsLoaded({}, asked=asked, force=force, unreadable=str(error), failed=True)
        reading = answer.reading
        if reading.unreadable:
            return JobsLoaded({}, asked=asked, force=force, unreadable=reading.unreadable)
        self._calendars = calendars
        log.debug("%d of %d job files were opened", reading.opened, reading.files)
        return JobsLoaded(
            jobs,
            gone=frozenset(reading.gone),
            broken=frozenset(reading.broken) | refused,
            errors=reading.errors + errors,
            asked=asked,
            force=force,
        )

    @asynccontextmanager
    async def _asking(self, order: Order) -> "AsyncIterator[_Answer]":
        command = [sys.executable, "-m", "apsis_services.scheduler.loader", str(self.directory), str(self._database)]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd="/"
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(encode(order))
            process.stdin.close()
            self.told.set()
            yield _Answer(process.stdout)
            # it remembers what it has read, and ends; the next reading begins after that
            async with asyncio.timeout(_SILENT):
                await process.wait()
        except (TimeoutError, EOFError, msgspec.DecodeError, ConnectionError) as error:
            raise LoaderFailed(f"the loader of the job directory {_why(error)}; the log has its last words") from error
        finally:
            if process.returncode is None:
                process.kill()

    def _open_calendars(self) -> Calendars:
        return Calendars(self.directory / "calendars")


class LoaderFailed(Exception):
    """The loader's process has ended, or says nothing that can be understood."""


class _Answer:
    """What a loader sends."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream
        #: the last word; there after all jobs
        self.reading = Reading()

    async def jobs(self) -> AsyncIterator[Read]:
        """Yield jobs as they come.

        Raises:
            EOFError: it has ended before it had said all.
            TimeoutError: it says nothing any more.
            msgspec.DecodeError: it says what it should not.
        """
        while True:
            async with asyncio.timeout(_SILENT):
                length = int.from_bytes(await self._stream.readexactly(4), "big")
                if length > _FRAME_MAX:
                    raise msgspec.DecodeError(f"a frame of {length} bytes")
                body: Part | Reading = decode(Part | Reading, await self._stream.readexactly(length))
            if isinstance(body, Reading):
                self.reading = body
                return
            for read in body.jobs:
                yield read


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"says nothing for {_SILENT:.0f} s"
    return "ended before it had read all" if isinstance(error, EOFError) else f"is not understood: {error}"


async def _prepare(job: Job) -> None:
    """Have the first times of schedules asked for that come from another process, so that no turn waits for it."""
    for schedule in job.schedules:
        if schedule.outside:
            await asyncio.to_thread(schedule.prepare, datetime.now(UTC))


def _parsed(read: Read, calendars: Calendars, errors: list[dict[str, Any]]) -> Job | None:
    try:
        job = parse_job(read.job_id, read.definition, calendars=calendars, file=read.file)
    except JobError as error:
        # its files were changed between the loader's look and ours; the next reading sees both
        errors += [
            {**msgspec.to_builtins(finding), "file": read.file, "jobs": [read.job_id]} for finding in error.findings
        ]
        return None
    return replace(job, version=read.version)
