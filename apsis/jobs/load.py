"""Loading a job directory: each file on its own, so that a broken one leaves the rest."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from apsis.jobs.ids import SUFFIXES, job_id_of, wrong_id
from apsis.jobs.job import Job, Loaded
from apsis.jobs.parse import read_job

if TYPE_CHECKING:
    from apsis.jobs.yaml_file import Document

_SOON: Final = timedelta(days=30)


@dataclass(slots=True)
class _Directory:
    """One job directory while it is loaded. Files are named by their path below it."""

    root: Path
    calendars: Calendars
    errors: list[Finding] = field(default_factory=list)
    #: by folder: the defaults that hold there, and the files that they come from, the nearest first
    defaults: dict[PurePosixPath, tuple[dict[str, Any], list[tuple[str, "Document"]]]] = field(default_factory=dict)


def load_jobs(directory: Path, *, today: date | None = None) -> Loaded:
    """Return the jobs of a directory, and everything found wrong with its files.

    With `today`, calendars that end within 30 days are among the findings.
    """
    loading = _Directory(Path(directory), Calendars(Path(directory) / "calendars"))
    jobs: dict[str, Job] = {}
    if not loading.root.is_dir():
        loading.errors.append(
            Finding(file=str(directory), code="unreadable", message=f"there is no job directory {directory}")
        )
        return Loaded({}, loading.errors)
    for path in _files(loading):
        job = _load_file(loading, path)
        if job is None:
            continue
        if job.job_id in jobs:
            loading.errors.append(
                Finding(
                    file=str(path),
                    line=1,
                    column=1,
                    code="duplicate",
                    message=f"job {job.job_id!r} is also in {jobs[job.job_id].file}; remove one of the files",
                )
            )
            continue
        jobs[job.job_id] = job
    _check_calendars(loading, jobs, today)
    errors = [msgspec.structs.replace(found, file=_on_one_line(found.file)) for found in loading.errors]
    return Loaded(jobs, sorted(errors, key=lambda found: (found.file, found.line, found.column)))


def _on_one_line(name: str) -> str:
    """Return a file's name such that it stands on one line, and can be sent, whatever is in it."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in name)


def _files(loading: _Directory) -> Iterator[PurePosixPath]:
    """Yield the paths of job files below the directory, in order, links and hidden names looked at."""
    root = loading.root.resolve()

    def refuse(error: OSError) -> None:
        name = os.path.relpath(error.filename, root) if error.filename else "."
        loading.errors.append(
            Finding(file=name, code="unreadable", message=f"the folder cannot be read: {error.strerror}")
        )

    for folder, folders, names in os.walk(root, onerror=refuse):
        below = PurePosixPath(os.path.relpath(folder, root))
        folders[:] = sorted(name for name in folders if _may_enter(loading, below, folder, name))
        for name in sorted(names):
            if name.startswith(".") or not name.endswith(SUFFIXES) or name == NAME:
                continue
            if _leads_out(root, Path(folder, name)):
                _refuse_link(loading, below / name)
                continue
            yield below / name


def _may_enter(loading: _Directory, below: PurePosixPath, folder: str, name: str) -> bool:
    if name.startswith("."):
        return False
    path = Path(folder, name)
    if path.is_symlink():
        if _leads_out(loading.root.resolve(), path):
            _refuse_link(loading, below / name)
        # os.walk does not follow links: a link within the directory names jobs that are found anyway
        return False
    return True


def _leads_out(root: Path, path: Path) -> bool:
    return path.is_symlink() and not path.resolve().is_relative_to(root)


def _refuse_link(loading: _Directory, path: PurePosixPath) -> None:
    message = "is a link that leads out of the job directory; copy the file, or make the directory the other one"
    loading.errors.append(Finding(file=str(path), line=1, column=1, code="link", message=message))


def _load_file(loading: _Directory, path: PurePosixPath) -> Job | None:
    job_id = job_id_of(path)
    if (why := wrong_id(job_id)) is not None:
        loading.errors.append(Finding(file=str(path), line=1, column=1, code="job_id", message=why))
        return None
    document = _read(loading, path)
    if document is None:
        return None
    if not isinstance(document.value, dict):
        message = f"expected a mapping with the key 'program', got {shown(document.value)}"
        loading.errors.append(Finding(file=str(path), line=1, column=1, code="invalid", message=message))
        return None
    defaults, sources = _defaults(loading, path.parent)
    definition = with_defaults(document.value, defaults) if defaults else document.value
    locate = _locator([(str(path), document), *sources])
    job, findings = read_job(job_id, definition, calendars=loading.calendars, file=str(path), locate=locate)
    loading.errors.extend(findings)
    return job


def _read(loading: _Directory, path: PurePosixPath) -> "Document | None":
    # imported here, because whoever reads only stored definitions does without YAML
    from apsis.jobs.yaml_file import MAX_BYTES, read_yaml

    try:
        data = read_plain_file(Path(loading.root, path), MAX_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        loading.errors.append(Finding(file=str(path), line=1, column=1, code="unreadable", message=message))
        return None
    document = read_yaml(data)
    for flaw in document.flaws:
        loading.errors.append(
            Finding(file=str(path), line=flaw.line, column=flaw.column, code=flaw.code, message=flaw.message)
        )
    return None if document.flaws else document


def _defaults(loading: _Directory, folder: PurePosixPath) -> tuple[dict[str, Any], list[tuple[str, "Document"]]]:
    """Return the defaults that hold in a folder: its own, over those of the folders above."""
    known = loading.defaults.get(folder)
    if known is not None:
        return known
    above, sources = ({}, []) if folder == PurePosixPath() else _defaults(loading, folder.parent)
    path = folder / NAME
    if os.path.lexists(Path(loading.root, path)):
        if _leads_out(loading.root.resolve(), Path(loading.root, path)):
            _refuse_link(loading, path)
        elif (document := _read(loading, path)) is not None:
            findings = Findings()
            own = check_defaults(document.value, findings)
            loading.errors.extend(findings.located(_locator([(str(path), document)])))
            if own is not None:
                above, sources = with_defaults(own, above), [(str(path), document), *sources]
    loading.defaults[folder] = above, sources
    return above, sources


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


def _check_calendars(loading: _Directory, jobs: dict[str, Job], today: date | None) -> None:
    """Note calendar files that cannot be read, whether or not a job uses them, and calendars that end soon."""
    for path in loading.calendars.files():
        name = f"{path.parent.name}/{path.name}"
        try:
            loading.calendars.get(path.stem)
        except CalendarFileError as error:
            found = Finding(file=name, line=error.line, column=1, code="calendar", message=error.why)
            loading.errors.append(found)
        except CalendarError as error:
            loading.errors.append(Finding(file=name, line=1, column=1, code="calendar", message=error.message))
    if today is None:
        return
    for job in jobs.values():
        for schedule in job.schedules:
            calendar = getattr(schedule, "calendar", None)
            if isinstance(calendar, Calendar) and calendar.stop is not None and calendar.stop - today <= _SOON:
                loading.errors.append(
                    Finding(
                        file=job.file,
                        line=1,
                        column=1,
                        severity=WARNING,
                        code="calendar_ends",
                        message=f"calendar {calendar.name!r} ends before {calendar.stop}; no run is due from then on",
                        path="schedule",
                    )
                )
