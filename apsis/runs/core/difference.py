"""What a reading of the job directory changes: which jobs, and which of their keys. Nothing is done about it here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apsis.calendars.calendar import Calendar
from apsis.definitions.compared import paths
from apsis.definitions.finding import path_text
from apsis.jobs.job import Job
from apsis.runs.core.inputs import JobsLoaded

#: a reload that would remove more than this many jobs, and more than a fifth, is held
REMOVE_AT_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """What a reading of the job directory changes; ids, sorted."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    #: why it is not applied without `force`, or ""
    held: str = ""

    @property
    def size(self) -> int:
        """How many jobs become others."""
        return len(self.added) + len(self.changed) + len(self.removed)


def differ(known: Mapping[str, Job], loaded: JobsLoaded) -> Difference:
    """Compare what was read with what is known."""
    if loaded.unreadable:
        return Difference([], [], [], f"the job directory cannot be read: {loaded.unreadable}")
    # stored jobs that this version of Apsis no longer takes may be gone too, and are not known
    gone = known.keys() - loaded.jobs.keys() - loaded.same if loaded.gone is None else loaded.gone
    removed = sorted(gone - loaded.broken)
    held = ""
    if not loaded.force and len(removed) > REMOVE_AT_MOST and len(removed) * 5 > len(known):
        held = f"it would remove {len(removed)} of {len(known)} jobs"
    changed = sorted(id_ for id_, job in loaded.jobs.items() if id_ in known and is_other(known[id_], job))
    return Difference(sorted(loaded.jobs.keys() - known.keys()), changed, removed, held)


def is_other(old: Job, new: Job) -> bool:
    """Say whether a job was changed: in what it says, or in where it stands."""
    return (old.version, old.file) != (new.version, new.file)


def changed_keys(old: Job, new: Job) -> list[str]:
    """Return where two versions of a job differ: `program.argv[1]`, `schedule[0].daytime`, `calendar acme`, `file`."""
    keys = [path_text(path) for path in paths(old.definition, new.definition)]
    before, after = _calendars(old), _calendars(new)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not keys:
        keys = [f"calendar {name}" for name in sorted(names)]
    if not keys and old.version != new.version:
        # read anew since, the old version has the new calendars as well
        keys = ["calendars"]
    return keys + (["file"] if old.file != new.file else [])


def _calendars(job: Job) -> dict[str, str]:
    """Return the hashes of the calendars that a job's schedules name, of those that are files."""
    found = {}
    for schedule in job.schedules:
        for calendar in (getattr(schedule, "calendar", None), schedule.terms.excepted):
            if isinstance(calendar, Calendar) and calendar.digest:
                found[calendar.name] = calendar.digest
    return found
