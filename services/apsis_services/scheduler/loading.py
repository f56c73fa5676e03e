"""Having the job directory read by the loader's process, and making jobs of what it says."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from apsis.calendars.finder import Calendars
from apsis.jobs.job import Job, JobError
from apsis.jobs.parse import parse_job
from apsis.messages.body import decode, encode
from apsis.runs.core.inputs import Asked, JobsLoaded
from apsis_services.scheduler.loader import Known, Read, Reading

log = logging.getLogger("scheduler")

#: jobs parsed between two looks at what else is to be done
_SLICE: Final = 25


class Loading:
    """Knows where the jobs are. Calendars are found beside them; each reading looks at their files anew."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._calendars = self._open_calendars()

    def parse(self, job_id: str, definition: dict[str, Any]) -> Job:
        """Return the job of a definition; raises JobError."""
        return parse_job(job_id, definition, calendars=self._calendars)

    async def load(self, known: Mapping[str, Job], asked: Asked | None, *, force: bool) -> JobsLoaded:
        """Read the directory, without holding up the loop."""
        reading = await self._read({job_id: Known(job.version, job.file) for job_id, job in known.items()})
        if reading.unreadable:
            return JobsLoaded({}, asked=asked, force=force, unreadable=reading.unreadable)
        self._calendars = self._open_calendars()
        jobs: dict[str, Job] = {}
        errors = list(reading.errors)
        same = set()
        for count, (job_id, read) in enumerate(reading.jobs.items()):
            if read.definition is None:
                same.add(job_id)
            else:
                self._take(jobs, errors, job_id, read)
                if count % _SLICE == 0:
                    await asyncio.sleep(0)
        return JobsLoaded(
            jobs,
            same=frozenset(same),
            broken=frozenset(reading.broken) | (known.keys() & reading.jobs.keys()) - jobs.keys() - same,
            errors=errors,
            asked=asked,
            force=force,
        )

    def _take(self, jobs: dict[str, Job], errors: list[dict[str, Any]], job_id: str, read: Read) -> None:
        try:
            job = parse_job(job_id, read.definition or {}, calendars=self._calendars, file=read.file)
        except JobError as error:
            # its files were changed between the loader's look and ours; the next reading sees both
            errors += [msgspec.to_builtins(finding) for finding in error.findings]
        else:
            jobs[job_id] = replace(job, version=read.version)

    async def _read(self, known: dict[str, Known]) -> Reading:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "apsis_services.scheduler.loader",
            str(self.directory),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd="/",
        )
        try:
            out, _ = await process.communicate(encode(known))
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0:
            log.error("the loader failed with status %d", process.returncode, extra={"event": "loader_failed"})
            return Reading(unreadable=f"the loader failed with status {process.returncode}; the log has its last words")
        reading: Reading = decode(Reading, out)
        return reading

    def _open_calendars(self) -> Calendars:
        return Calendars(self.directory / "calendars")
