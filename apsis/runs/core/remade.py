"""What becomes of the runs made ahead when a job changes: which are kept, which go, which are made. And what would."""

from dataclasses import dataclass, field
from typing import Any, Final

from apsis.jobs.bind import bind_args
from apsis.jobs.job import Job
from apsis.programs.templated import BindError
from apsis.runs.core.book import Book
from apsis.runs.core.plans import due_micros
from apsis.runs.core.rows import RunRow, args_key
from apsis.runs.states import State
from apsis.schedules import Occurrence, Schedule
from apsis.times import format_time, from_micros, to_micros

#: runs of each kind that are named; all are counted
_NAMED: Final = 200


@dataclass(slots=True)
class Remade:
    """Runs that a change of jobs has affected, or would."""

    kept: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    #: (job id, due time in microseconds, id); it has no id where it is only foreseen
    made: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, other: "Remade") -> None:
        """Take in what became of the runs of another job."""
        self.kept += other.kept
        self.withdrawn += other.withdrawn
        self.made += other.made

    def result(self) -> dict[str, Any]:
        """Return it as REST shows it: counts, and the first of each kind."""
        made = [
            {"job_id": job_id, "schedule_time": format_time(from_micros(due)), **({"run_id": id_} if id_ else {})}
            for job_id, due, id_ in self.made[:_NAMED]
        ]
        return {
            "kept": len(self.kept),
            "withdrawn": len(self.withdrawn),
            "made": len(self.made),
            "kept_ids": self.kept[:_NAMED],
            "withdrawn_ids": self.withdrawn[:_NAMED],
            "made_runs": made,
        }


def expected(book: Book, job_id: str, micros: int) -> list[RunRow]:
    """Return the runs of a job that schedules have made and whose time has not come, by number."""
    runs = book.made.get(job_id, {}).items()
    rows = [book.rows[run_id] for (due, _), run_id in runs if due > micros]
    return sorted((row for row in rows if row.run.state is State.SCHEDULED), key=lambda row: row.num)


def offered_args(job: Job, schedule: Schedule, occurrence: Occurrence) -> tuple[dict[str, str], str]:
    """Return the args of the run that an occurrence makes, and why they do not fit its job, or "".

    A run that does not fit is made all the same, says why it will not run, and ends in error when it is due.
    """
    try:
        return bind_args(job, schedule, occurrence), ""
    except BindError as error:
        offered = {**occurrence.offered, **schedule.args}
        return {name: offered[name] for name in job.params if name in offered}, error.message


def foresee(book: Book, job_id: str, new: Job | None, micros: int) -> Remade:
    """Return what would become of the runs made ahead of a job that changes into `new`; None: it goes."""
    rows = {row.run.run_id: row for row in expected(book, job_id, micros)}
    remade, wanted, made = Remade(), set[str](), set[tuple[int, str]]()
    for schedule in new.schedules if new is not None else ():
        if schedule.enabled and new is not None:
            _foresee(book, new, schedule, micros, rows, wanted, made)
    remade.made = [(job_id, due, "") for due, _ in sorted(made)]
    remade.kept = [run_id for run_id in rows if run_id in wanted]
    remade.withdrawn = [run_id for run_id in rows if run_id not in wanted]
    return remade


def _foresee(
    book: Book,
    job: Job,
    schedule: Schedule,
    micros: int,
    rows: dict[str, RunRow],
    wanted: set[str],
    made: set[tuple[int, str]],
) -> None:
    """Walk through one schedule as far ahead as its runs would be made; gather those that are wanted, and made."""
    have, last = 0, -1
    for occurrence in schedule.occurrences(from_micros(micros)):
        at = to_micros(occurrence.time)
        if at > micros + int(book.settings.horizon * 1e6) or (at != last and have >= book.settings.max_ahead):
            return
        last = at
        due, key = due_micros(occurrence.time), args_key(offered_args(job, schedule, occurrence)[0])
        run_id = book.made.get(job.job_id, {}).get((due, key))
        if run_id is not None:
            have += run_id in rows and run_id not in wanted
            wanted.add(run_id)
        elif (due, key) not in made and not book.archive.made(job.job_id, due, key):
            made.add((due, key))
            have += 1
