"""Comparing a job directory with what is known of it: the loader's work, but for where it gets and puts things."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec

from apsis.definitions.finding import ERROR, Finding
from apsis.definitions.plain_file import read_plain_file
from apsis.jobs.defaults import NAME
from apsis.jobs.load import FileRead, JobReader, check_calendars, ending, in_order, on_one_line, twice
from apsis.jobs.tree import Stamp, Tree, look
from apsis.times import to_micros
from apsis_services.scheduler.job_cache import Entry, is_builtin
from apsis_services.scheduler.readings import Known, Read, Reading

#: a file changed less than this before it was looked at may change again and keep its stamp: some count seconds
_SETTLED: Final = timedelta(seconds=3)
#: ids named with one finding
_NAMED: Final = 50
#: findings told of one reading: what nobody can read need not be sent
_FINDINGS: Final = 2000


class Comparison:
    """One look at a job directory, beside what was known before."""

    def __init__(
        self,
        directory: Path,
        known: Mapping[str, Known],
        before: Mapping[str, Entry],
        now: datetime,
        anew: Collection[str] = (),
    ) -> None:
        self._directory = directory
        self._known = known
        self._before = before
        self._now = now
        self._anew = anew
        #: what is to be remembered of each file
        self.entries: dict[str, Entry] = {}
        self._opened = 0
        #: good jobs: their files
        self._good: dict[str, str] = {}
        #: jobs that are not loaded: their files
        self._broken: dict[str, PurePosixPath] = {}
        self._findings: list[Finding] = []

    def read(self, tell: Callable[[Read], None]) -> Reading:
        """Look, tell of each job that is new or other than known, and return the rest."""
        try:
            tree = look(self._directory)
        except OSError as error:
            why = error.strerror or str(error)
            return Reading(unreadable=on_one_line(f"{self._directory}: {why}"))
        reader = JobReader(tree)
        calendars = _calendars_digest(tree, self._now)
        self._findings += tree.findings
        for path, stamp in tree.files.items():
            self._take(reader, path, stamp, calendars, tell)
        self._findings += [*reader.findings, *check_calendars(reader.calendars)]
        missing = self._known.keys() - self._good.keys()
        broken = {job_id for job_id in missing if job_id in self._broken or self._may_be_there(job_id)}
        for job_id in broken - self._broken.keys():
            self._broken[job_id] = PurePosixPath(self._known[job_id].file)
        return Reading(
            gone=sorted(missing - broken),
            broken=sorted(broken),
            errors=self._told(),
            files=len(tree.files),
            opened=self._opened,
        )

    def _take(
        self, reader: JobReader, path: PurePosixPath, stamp: Stamp, calendars: str, tell: Callable[[Read], None]
    ) -> None:
        key, defaults = on_one_line(str(path)), reader.defaults(path.parent).digest
        entry = self._before.get(key)
        if entry is not None and (entry.defaults != defaults or entry.calendars not in ("", calendars)):
            entry = None
        data = None
        if entry is not None and (entry.stamp is None or entry.stamp != stamp):
            data = self._bytes(reader, path)
            same = data is not None and hashlib.sha256(data).hexdigest() == entry.content
            entry = msgspec.structs.replace(entry, stamp=self._settled(stamp)) if same else None
        if entry is not None and self._is_known(entry.job_id, entry.version, key):
            self._keep(key, entry, entry.findings)
            return
        self._read(reader, path, data, stamp, defaults, calendars, tell)

    def _read(
        self,
        reader: JobReader,
        path: PurePosixPath,
        data: bytes | None,
        stamp: Stamp,
        defaults: str,
        calendars: str,
        tell: Callable[[Read], None],
    ) -> None:
        """Read a file whose content is not remembered, or wanted."""
        self._opened += 1
        read = reader.read(path, data)
        if read.gone:
            return
        key, job = on_one_line(str(path)), read.job
        if job is None or read.maimed:
            self._findings += read.findings
            self._broken.setdefault(read.job_id, path)
            return
        findings = [*read.findings, *ending(job, self._now.date())]
        entry = Entry(
            stamp=self._settled(stamp),
            content=read.content,
            job_id=job.job_id,
            version=job.version,
            defaults=defaults,
            calendars=calendars if read.calendars else "",
            findings=findings,
        )
        first = job.job_id not in self._good
        self._keep(key, entry, findings, remembered=_is_lasting(read))
        if first and not self._is_known(job.job_id, job.version, key):
            tell(Read(job.job_id, job.version, key, job.definition))

    def _keep(self, key: str, entry: Entry, findings: list[Finding], *, remembered: bool = True) -> None:
        if remembered:
            self.entries[key] = entry
        if entry.job_id in self._good:
            self._findings.append(twice(key, entry.job_id, self._good[entry.job_id]))
            return
        self._good[entry.job_id] = key
        self._findings += findings

    def _bytes(self, reader: JobReader, path: PurePosixPath) -> bytes | None:
        """Return a file's bytes; None where it cannot be read, which the reader will say."""
        self._opened += 1
        try:
            return reader.bytes_of(path)
        except OSError:
            return None

    def _is_known(self, job_id: str, version: str, file: str) -> bool:
        known = self._known.get(job_id)
        return known is not None and (known.version, known.file) == (version, file) and job_id not in self._anew

    def _settled(self, stamp: Stamp) -> Stamp | None:
        latest = max(stamp.mtime, stamp.ctime) // 1000
        return stamp if latest < to_micros(self._now - _SETTLED) else None

    def _may_be_there(self, job_id: str) -> bool:
        """Say whether a known job's file is, or may be, there: what cannot be looked at counts as there."""
        path = self._directory / self._known[job_id].file
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return path.is_file() or path.is_symlink()

    def _told(self) -> list[dict[str, Any]]:
        """Return the findings, each error with the jobs that are not loaded for it."""
        broken: dict[PurePosixPath, list[str]] = {}
        for job_id, path in sorted(self._broken.items()):
            if job_id in self._good:  # by another file
                continue
            for place in (path, *path.parents):
                broken.setdefault(place, []).append(job_id)
        found = in_order(self._findings)
        told = [_with_jobs(each, broken) for each in found[:_FINDINGS]]
        if len(found) > _FINDINGS:
            more = Finding(code="more", message=f"{len(found) - _FINDINGS} more; `apsis check` shows all")
            told.append(msgspec.to_builtins(more))
        return told


def _with_jobs(found: Finding, broken: Mapping[PurePosixPath, list[str]]) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(found)
    place = PurePosixPath(found.file)
    jobs = broken.get(place.parent if place.name == NAME else place, []) if found.severity == ERROR else []
    if jobs:
        told["jobs"] = jobs[:_NAMED]
        told["jobs_in_all"] = len(jobs)
    return told


def _is_lasting(read: FileRead) -> bool:
    return read.job is not None and is_builtin(read.job.definition)


def _calendars_digest(tree: Tree, now: datetime) -> str:
    """Return a hash of the calendar files and of the day: a calendar that ends is told from a certain day on."""
    digest = hashlib.sha256(str(now.date()).encode())
    for path in sorted(tree.calendars):
        digest.update(f"{path.name}\0".encode(errors="surrogateescape"))
        try:
            digest.update(read_plain_file(tree.root / path, 1 << 20))
        except OSError:
            digest.update(b"unreadable")
    return digest.hexdigest()
