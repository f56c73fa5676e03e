"""Loading a job directory: each file on its own, so that a broken one leaves the rest."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import msgspec

from apsis.calendars.calendar import Calendar, CalendarError
from apsis.calendars.files import CalendarFileError
from apsis.calendars.finder import Calendars
from apsis.definitions import finding
from apsis.definitions.fields import shown
from apsis.definitions.finding import WARNING, Finding, Findings, Locate
from apsis.definitions.plain_file import read_plain_file
from apsis.jobs.defaults import NAME, check_defaults, with_defaults
from apsis.jobs.ids import job_id_of, wrong_id
from apsis.jobs.job import Job, Loaded
from apsis.jobs.parse import read_job
from apsis.jobs.tree import CALENDARS, Tree, look

if TYPE_CHECKING:
    from apsis.jobs.yaml_file import Document

_SOON: Final = timedelta(days=30)


@dataclass(slots=True)
class NotedCalendars(Calendars):
    """Calendars that note which have been asked for, so that it is known who depends on their files."""

    asked: set[str] = field(default_factory=set)

    def get(self, name: str) -> Calendar:
        """Return the calendar of a name or an expression; raises CalendarError."""
        self.asked.add(name)
        return Calendars.get(self, name)


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What holds in a folder."""

    values: dict[str, Any] = field(default_factory=dict)
    #: the files that it comes from, the nearest first
    sources: tuple[tuple[str, "Document"], ...] = ()
    #: hash of their contents; "" where there are none
    digest: str = ""
    #: one of them is broken, and what it was to say is not in `values`
    broken: bool = False


@dataclass(frozen=True, slots=True)
class FileRead:
    """What one file of a job directory says."""

    job_id: str
    job: Job | None = None
    findings: list[Finding] = field(default_factory=list)
    #: sha256 of its bytes, hex; "" where they could not be read
    content: str = ""
    #: some calendar was asked for that is, or would be, a file
    calendars: bool = False
    #: it was there when the directory was looked at, and is no more
    gone: bool = False
    #: defaults that it is to have cannot be read: the job is another one than was meant
    maimed: bool = False


class JobReader:
    """Reads the files of one job directory, as it was when it was looked at."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.calendars = NotedCalendars(tree.root / CALENDARS)
        #: what is wrong with files of defaults
        self.findings: list[Finding] = []
        self._defaults: dict[PurePosixPath, _Defaults] = {}

    def read(self, path: PurePosixPath, data: bytes | None = None) -> FileRead:
        """Return what a file says; `data` are its bytes, where they have been read already."""
        job_id, file = job_id_of(path), str(path)
        if (why := wrong_id(job_id)) is not None:
            return FileRead(job_id, findings=[Finding(file=file, line=1, column=1, code="job_id", message=why)])
        try:
            data = self.bytes_of(path) if data is None else data
        except FileNotFoundError:
            if not (self.tree.root / path).is_symlink():
                return FileRead(job_id, gone=True)
            return FileRead(job_id, findings=[_unreadable(file, "No such file or directory")])
        except OSError as error:
            return FileRead(job_id, findings=[_unreadable(file, error.strerror or "unknown error")])
        content = hashlib.sha256(data).hexdigest()
        document, findings = _parsed(file, data)
        if document is None:
            return FileRead(job_id, None, findings, content)
        return self._job_of(job_id, file, document, content)

    def bytes_of(self, path: PurePosixPath) -> bytes:
        """Return the bytes of a file, one more than allowed where it is too large; raises OSError."""
        from apsis.jobs.yaml_file import MAX_BYTES

        return read_plain_file(self.tree.root / path, MAX_BYTES + 1)

    def defaults(self, folder: PurePosixPath) -> _Defaults:
        """Return the defaults that hold in a folder: its own, over those of the folders above."""
        known = self._defaults.get(folder)
        if known is None:
            above = _Defaults() if folder == PurePosixPath() else self.defaults(folder.parent)
            known = self._read_defaults(folder, above) if folder in self.tree.defaults else above
            self._defaults[folder] = known
        return known

    def _job_of(self, job_id: str, file: str, document: "Document", content: str) -> FileRead:
        if not isinstance(document.value, dict):
            message = f"expected a mapping with the key 'program', got {shown(document.value)}"
            found = Finding(file=file, line=1, column=1, code="invalid", message=message)
            return FileRead(job_id, None, [found], content)
        defaults = self.defaults(PurePosixPath(file).parent)
        definition = with_defaults(document.value, defaults.values) if defaults.values else document.value
        locate = _locator([(file, document), *defaults.sources])
        self.calendars.asked.clear()
        job, findings = read_job(job_id, definition, calendars=self.calendars, file=file, locate=locate)
        filed = any(map(self._is_a_file, list(self.calendars.asked)))
        return FileRead(job_id, job, findings, content, filed, maimed=defaults.broken)

    def _is_a_file(self, name: str) -> bool:
        """Return whether a calendar comes from a file, or would if there were one."""
        try:
            return bool(self.calendars.get(name).digest)
        except CalendarError:
            return True

    def _read_defaults(self, folder: PurePosixPath, above: _Defaults) -> _Defaults:
        file = str(folder / NAME)
        try:
            data = self.bytes_of(folder / NAME)
        except FileNotFoundError:
            return above
        except OSError as error:
            self.findings.append(_unreadable(file, error.strerror or "unknown error"))
            return replace(above, digest="unreadable", broken=True)
        digest = hashlib.sha256(above.digest.encode() + data).hexdigest()
        document, findings = _parsed(file, data)
        self.findings += findings
        if document is None:
            return replace(above, digest=digest, broken=True)
        noted = Findings()
        own = check_defaults(document.value, noted)
        self.findings += noted.located(_locator([(file, document)]))
        if own is None:
            return replace(above, digest=digest, broken=True)
        sources = ((file, document), *above.sources)
        return _Defaults(with_defaults(own, above.values), sources, digest, above.broken)


def load_jobs(directory: Path, *, today: date | None = None) -> Loaded:
    """Return the jobs of a directory, and everything found wrong with its files.

    With `today`, calendars that end within 30 days are among the findings.
    """
    try:
        tree = look(Path(directory))
    except OSError as error:
        there = error if Path(directory).is_dir() else None
        why = f"cannot be read: {there.strerror}" if there else f"there is no job directory {directory}"
        return Loaded({}, [Finding(file=on_one_line(str(directory)), code="unreadable", message=why)])
    reader = JobReader(tree)
    jobs: dict[str, Job] = {}
    errors = list(tree.findings)
    for path in tree.files:
        read = reader.read(path)
        errors += read.findings
        if read.job is None:
            continue
        if read.job_id in jobs:
            errors.append(twice(str(path), read.job_id, jobs[read.job_id].file))
        else:
            jobs[read.job_id] = read.job
    errors += [*reader.findings, *check_calendars(reader.calendars)]
    if today is not None:
        errors += [found for job in jobs.values() for found in ending(job, today)]
    return Loaded(jobs, in_order(errors))


def in_order(findings: list[Finding]) -> list[Finding]:
    """Return findings by file and line, each once, with the names of files such that they can be shown and sent."""
    named = [msgspec.structs.replace(found, file=on_one_line(found.file)) for found in findings]
    return sorted(dict.fromkeys(named), key=lambda found: (found.file, found.line, found.column))


def on_one_line(name: str) -> str:
    """Return a file's name such that it stands on one line, and can be sent, whatever is in it."""
    return name if name.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in name)


def twice(file: str, job_id: str, first: str) -> Finding:
    """Return the finding for a second file of one job."""
    message = f"job {job_id!r} is also in {first}; remove one of the files"
    return Finding(file=file, line=1, column=1, code="duplicate", message=message)


def check_calendars(calendars: Calendars) -> list[Finding]:
    """Return what is wrong with calendar files, whether or not a job uses them."""
    findings = []
    for path in calendars.files():
        name = f"{path.parent.name}/{path.name}"
        try:
            calendars.get(path.stem)
        except CalendarFileError as error:
            findings.append(Finding(file=name, line=error.line, column=1, code="calendar", message=error.why))
        except CalendarError as error:
            findings.append(Finding(file=name, line=1, column=1, code="calendar", message=error.message))
    return findings


def ending(job: Job, today: date) -> list[Finding]:
    """Return a warning for each calendar of a job that ends within 30 days."""
    findings = []
    for schedule in job.schedules:
        for calendar in schedule.calendars:
            if calendar.stop is None or calendar.stop - today > _SOON:
                continue
            then = "its dates are left out no more" if calendar is schedule.terms.excepted else "no run is due"
            message = f"calendar {calendar.name!r} ends before {calendar.stop}; {then} from then on"
            findings.append(
                Finding(
                    file=job.file, line=1, column=1, severity=WARNING, code="calendar_ends", message=message,
                    path="schedule",
                )
            )  # fmt: skip
    return findings


def _unreadable(file: str, why: str) -> Finding:
    return Finding(file=file, line=1, column=1, code="unreadable", message=f"cannot be read: {why}")


def _parsed(file: str, data: bytes) -> tuple["Document | None", list[Finding]]:
    """Return the content of a YAML file; None, with findings, where it has flaws."""
    # imported here, because whoever reads only stored definitions does without YAML
    from apsis.jobs.yaml_file import read_yaml

    document = read_yaml(data)
    findings = [
        Finding(file=file, line=flaw.line, column=flaw.column, code=flaw.code, message=flaw.message)
        for flaw in document.flaws
    ]
    return (None if findings else document), findings


def _locator(documents: list[tuple[str, "Document"]]) -> Locate:
    """Return where a path stands: in the file that has it, else at the nearest place of the first file."""

    def locate(path: finding.Path, at_key: bool) -> tuple[str, int, int]:
        for name, document in documents:
            line, column, found = document.place(path, at_key)
            if not found and path and path[0] in ("schedule", "condition", "action"):
                line, column, found = document.place((f"{path[0]}s", *path[1:]), at_key)
            if found:
                return name, line, column
        name, document = documents[0]
        line, column, _ = document.place(path, at_key)
        return name, line, column

    return locate
