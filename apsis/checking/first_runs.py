"""First runs: each schedule's next run is bound as the scheduler would bind it, and told of where that fails."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from apsis.checking.facts import entry_path
from apsis.checking.windows import Windows
from apsis.definitions.finding import WARNING, Findings, Path
from apsis.errors import ApsisError
from apsis.jobs.bind import bind_args, expand
from apsis.jobs.job import Job
from apsis.jobs.template_names import unknown_names
from apsis.programs.noop import NoOpSpec
from apsis.programs.templated import BindError, has_template
from apsis.schedules.schedule import Schedule

_RUN_ID: Final = "r0"
#: what a template may pass over when it is expanded
_BRANCH: Final = re.compile(r"\{%|\b(?:if|and|or)\b")
_WORD: Final = re.compile(r"[^.\[\]]+")


def check_first_runs(job: Job, findings: Findings, windows: Windows, now: datetime) -> None:
    """Note each schedule that is never due, each whose next run could not be made, and each name that none knows."""
    bound = 0
    failures: dict[tuple[Path, str], None] = {}
    for index, schedule in enumerate(job.schedules):
        if not schedule.enabled:
            continue
        found = _first_run(job, schedule, entry_path(job, "schedule", index), findings, windows, now)
        if found is not None:
            bound += 1
            # two schedules of one job mostly fail for the same reason
            failures.update(dict.fromkeys(found))
    unnamed = _check_names(job, findings, expanded=bound > 0 and not failures)
    for where, why in failures:
        if where not in unnamed:
            findings.add(where, why, code="bind")


def _first_run(
    job: Job, schedule: Schedule, path: Path, findings: Findings, windows: Windows, now: datetime
) -> list[tuple[Path, str]] | None:
    """Return why the next run of a schedule could not be made; None, with a finding, where it has no args."""
    try:
        occurrence = windows.first(schedule, now)
    except Exception as error:  # noqa: BLE001  a schedule class of a user's may raise anything
        findings.add(path, f"schedule: its times cannot be computed: {_told(error)}", code="schedule")
        return None
    trouble = str(getattr(schedule, "trouble", "") or "")
    if trouble:
        findings.add(path, f"schedule: its times cannot be computed: {trouble}", code="schedule")
        return None
    if occurrence is None:
        why = "it is never due again: look at its calendar, its dates and its expression"
        findings.add(path, f"schedule: {why}", code="never_due", severity=WARNING)
        return None
    try:
        args = bind_args(job, schedule, occurrence)
    except BindError as error:
        findings.add(path, f"schedule: its run at {_shown(occurrence.time)}: {_sentence(error)}", code="bind")
        return None
    when = _shown(occurrence.time)
    return [(where, f"the run at {when}: {why}") for where, why in _failures(job, args, occurrence.time)]


def _check_names(job: Job, findings: Findings, *, expanded: bool) -> set[Path]:
    """Note each name in a template that no run of the job has; return where they are.

    Where a run was expanded without fault, only what stands in a branch of a template can have been passed over.
    """
    unnamed = set()
    for key, text in texts_of(job):
        if not has_template(text) or (expanded and not _BRANCH.search(text)):
            continue
        for name in unknown_names(text, job.params):
            known = f"the params are {', '.join(job.params)}" if job.params else "the job has no params"
            path = key_path(job, key)
            word = next(part for part in reversed(path) if isinstance(part, str))
            findings.add(path, f"{word}: the template speaks of {name!r}; {known}", code="unknown_name")
            unnamed.add(path)
    return unnamed


def texts_of(job: Job) -> Iterator[tuple[str, str]]:
    """Yield each text of a job in which templates are expanded, by the key that a BindError has."""
    yield from job.program.texts().items()
    for key, entries in (("condition", job.conditions), ("action", job.actions), ("successors", job.successors)):
        for index, entry in enumerate(entries):
            args = getattr(entry, "args", None)
            if isinstance(args, dict):
                yield from ((f"{key}[{index}].args.{name}", value) for name, value in args.items())


def key_path(job: Job, key: str) -> Path:
    """Return the path in the definition of the key of a BindError: `condition[0].args.date`."""
    words = _WORD.findall(key)
    numbered = len(words) > 1 and words[0] in ("condition", "action", "successors") and words[1].isdigit()
    if numbered and not isinstance(job.definition.get(words[0]), list):
        del words[1]
    return tuple(int(word) if word.isdigit() else word for word in words)


def _failures(job: Job, args: dict[str, str], due: datetime) -> list[tuple[Path, str]]:
    """Return everything that keeps a run from being made: bound as a whole, and part by part where that fails."""
    try:
        expand(job, _RUN_ID, args, due)
    except ApsisError:
        pass
    else:
        return []
    found = []
    for index, part in _parts(job):
        try:
            expand(part, _RUN_ID, args, due)
        except ApsisError as error:
            key = error.key if isinstance(error, BindError) else ""
            path = key_path(job, key.replace("[0]", f"[{index}]", 1) if index else key)
            if (path, _sentence(error)) not in found:
                found.append((path, _sentence(error)))
    return found


def _parts(job: Job) -> Iterator[tuple[int, Job]]:
    """Yield jobs that have the program and nothing else, then each with one condition, action or successor."""
    bare = replace(job, conditions=(), actions=(), successors=())
    yield 0, bare
    bare = replace(bare, program=NoOpSpec(), timeout=None)
    for index, condition in enumerate(job.conditions):
        yield index, replace(bare, conditions=(condition,))
    for index, action in enumerate(job.actions):
        yield index, replace(bare, actions=(action,))
    for index, successor in enumerate(job.successors):
        yield index, replace(bare, successors=(successor,))


def _sentence(error: ApsisError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _told(error: Exception) -> str:
    return _sentence(error) if isinstance(error, ApsisError) else f"{type(error).__name__}: {error}"


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
