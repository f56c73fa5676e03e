"""From a definition (plain data) to a job: each key read and checked, and every finding kept."""

import hashlib
import re
from typing import Any, Final

from apsis.actions.registry import read_actions, read_successors
from apsis.calendars.calendar import Calendar
from apsis.calendars.finder import Calendars
from apsis.conditions.registry import read_conditions
from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.finding import Finding, Findings, Locate
from apsis.definitions.forms import boolean, one_or_list, text
from apsis.definitions.plain import canonical, plain
from apsis.jobs.action_texts import wrong_texts
from apsis.jobs.ids import wrong_id
from apsis.jobs.job import Job, JobError
from apsis.jobs.params import read_params
from apsis.jobs.policies import read_expect, read_output, read_priority, read_resources, read_retry
from apsis.programs.program import ProgramSpec
from apsis.programs.registry import read_program, spelled_out
from apsis.programs.templated import has_template
from apsis.programs.timeouts import read_timeout
from apsis.schedules.registry import Context, read_schedules
from apsis.schedules.schedule import Schedule
from apsis.times.durations import parse_duration

#: other spelling: the one that is kept
SPELLINGS: Final = {"conditions": "condition", "actions": "action", "schedules": "schedule"}
_LATE_AFTER: Final = 60.0
#: a name that is no word of the template language
_SIMPLE: Final = re.compile(
    r"\{\{\s*(?!(?:and|else|if|in|is|not|or|for|recursive)\b)[A-Za-z_][A-Za-z0-9_]*\s*(?:\|\s*quote\s*)?\}\}"
)


def parse_job(
    job_id: str,
    definition: dict[str, Any],
    *,
    calendars: Calendars | None = None,
    file: str = "",
    locate: Locate | None = None,
) -> Job:
    """Return the job of a definition: one that REST was given, one that was stored, or the content of a file.

    Raises:
        JobError: it is no job; with every finding.
    """
    job, findings = read_job(job_id, definition, calendars=calendars, file=file, locate=locate)
    if job is None:
        raise JobError(job_id, findings)
    return job


def read_job(
    job_id: str,
    definition: dict[str, Any],
    *,
    calendars: Calendars | None = None,
    file: str = "",
    locate: Locate | None = None,
) -> tuple[Job | None, list[Finding]]:
    """Return the job, or None where there are errors; and all findings, warnings too."""
    findings = Findings()
    normal = _normalised(definition, findings)
    fields = Fields(normal, (), findings, "the job")
    job = _read(job_id, fields, calendars or Calendars(), file)
    if (why := wrong_id(job_id)) is not None:
        findings.add((), why, code="job_id")
    good = fields.close() and not findings.errors
    return (job if good else None), findings.located(locate)


def _read(job_id: str, fields: Fields, calendars: Calendars, file: str) -> Job:
    given_id = fields.optional("job_id", text, None)
    if given_id is not None and given_id != job_id:
        fields.refuse("job_id", f"the file says {given_id!r}, its path says {job_id!r}; leave the key out")
    params = read_params(fields)
    schedules = read_schedules(fields, dict(params), Context(job_id, calendars))
    program = read_program(fields)
    conditions, max_wait = read_conditions(fields)
    actions, successors = read_actions(fields), read_successors(fields)
    if program is not None:
        _check_templates(program, fields)
    listed = isinstance(fields.value.get("action"), list)
    for index, path, why in wrong_texts(actions, params):
        fields.failed = True
        fields.findings.add(("action", *((index,) if listed else ()), *path), f"{path[-1]}: {why}", code="template")
    kept = plain(fields.value)
    return Job(
        job_id=job_id,
        params=params,
        schedules=schedules,
        program=program,  # type: ignore[arg-type]  # where it is None there is a finding, and the job is not used
        conditions=conditions,
        actions=actions,
        successors=successors,
        metadata=_read_metadata(fields),
        definition=kept,
        version=_version(kept, schedules),
        file=file,
        ad_hoc=fields.optional("ad_hoc", boolean, False),
        retry=read_retry(fields),
        resources=read_resources(fields),
        priority=read_priority(fields),
        timeout=read_timeout(fields),
        late_after=fields.optional("late_after", parse_duration, _LATE_AFTER),
        expect=read_expect(fields),
        output=read_output(fields),
        max_wait=max_wait,
        calendars=calendars,
    )


def _normalised(definition: dict[str, Any], findings: Findings) -> dict[str, Any]:
    """Return the definition in the long spellings, which is what is kept and hashed."""
    normal: dict[str, Any] = {}
    for key, value in definition.items():
        singular = SPELLINGS.get(key, key)
        if singular in normal:
            findings.add((key,), f"{singular!r} and {key!r} are the same key", code="duplicate", at_key=True)
        normal[singular] = spelled_out(value) if singular == "program" else value
    return normal


def _check_templates(program: ProgramSpec, fields: Fields) -> None:
    for key, value in program.texts().items():
        if not has_template(value) or _is_simple(value):
            continue
        from apsis.jobs.templates import check_text

        if (why := check_text(value)) is not None:
            fields.failed = True
            words = key.replace("[", ".").replace("]", "").split(".")
            path = tuple(int(word) if word.isdigit() else word for word in words)
            fields.findings.add(path, f"{words[-1]}: {why}", code="template")


def _is_simple(value: str) -> bool:
    """Return whether a text has only templates like `{{ date }}` or `{{ date | quote }}`, which need no compiler."""
    rest = _SIMPLE.sub("", value)
    return not has_template(rest) and "{#" not in rest


def _read_metadata(fields: Fields) -> dict[str, Any]:
    value = fields.take("metadata")
    if value is None:
        return {}
    if not isinstance(value, dict):
        fields.refuse("metadata", f"expected a mapping, got {shown(value)}")
        return {}
    nested = Fields(value, (*fields.path, "metadata"), fields.findings, "metadata")
    nested.optional("description", text, "")
    nested.optional("labels", one_or_list(_label), [])
    fields.failed |= nested.failed
    return value


def _label(value: Any) -> str:
    label = text(value).strip()
    if not label or any(character in label for character in ",\n\0"):
        raise FormError(f"a label is a word without commas, got {shown(value)}")
    return label


def _version(definition: dict[str, Any], schedules: tuple[Schedule, ...]) -> str:
    """Return the hash of the definition, and of the calendar files that its due times depend on."""
    digest = hashlib.sha256(canonical(definition))
    for schedule in schedules:
        calendar = getattr(schedule, "calendar", None)
        for each in (calendar, schedule.terms.excepted):
            if isinstance(each, Calendar) and each.digest:
                digest.update(each.digest.encode())
    return digest.hexdigest()


def job_json(job: Job) -> dict[str, Any]:
    """Return the job as REST shows it; `next` and `paused` are the scheduler's to fill in."""
    return {
        "job_id": job.job_id,
        "params": list(job.params),
        "param_specs": {name: param.to_json() for name, param in job.params.items()},
        "schedules": [schedule_json(schedule) for schedule in job.schedules],
        "program": job.program.to_json(),
        "conditions": [condition.to_json() for condition in job.conditions],
        "actions": [action.to_json() for action in job.actions],
        "successors": [{"job_id": action.job_id, "args": action.args} for action in job.successors],
        "metadata": job.metadata,
        "labels": job.labels,
        "description": job.description,
        "version": job.version,
        "file": job.file,
        "ad_hoc": job.ad_hoc,
        "next": None,
        "paused": None,
    }


def schedule_json(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as REST shows it: as it is written, and what a person reads."""
    # a type may have a key `start` of its own
    written = schedule.definition if "type" in schedule.definition else schedule.definition["start"]
    stop = schedule.terms.stop
    return {
        **written,
        "key": schedule.key,
        "enabled": schedule.enabled,
        "args": schedule.args,
        "text": f"{schedule.text}, {stop.text}" if stop else schedule.text,
        **({"trouble": schedule.trouble} if schedule.trouble else {}),
    }
