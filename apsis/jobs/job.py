"""A job: what its file says, checked, with everything in the form in which it is used."""

from dataclasses import dataclass, field
from typing import Any

from apsis.actions.action import ActionSpec
from apsis.actions.schedule import ScheduleAction
from apsis.calendars.finder import Calendars
from apsis.conditions.condition import ConditionSpec
from apsis.definitions.finding import Finding
from apsis.errors import ApsisError
from apsis.jobs.params import Param
from apsis.jobs.policies import Expect, OutputPolicy, Retry
from apsis.programs.program import ProgramSpec
from apsis.programs.timeouts import TimeoutSpec
from apsis.schedules.schedule import Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as loaded. It is never changed; a changed file gives another one, with another `version`."""

    job_id: str
    #: by name, in the order of the file
    params: dict[str, Param]
    schedules: tuple[Schedule, ...]
    program: ProgramSpec
    #: in the order in which they are checked
    conditions: tuple[ConditionSpec, ...]
    actions: tuple[ActionSpec, ...]
    #: actions on success
    successors: tuple[ScheduleAction, ...]
    metadata: dict[str, Any]
    #: plain JSON-able mapping that `parse_job` takes: the file with its defaults, in the long spellings
    definition: dict[str, Any]
    #: sha256, hex, of the definition as canonical JSON, and of the `.cal` files that it names
    version: str
    #: path below the job directory; empty for an ad hoc job
    file: str = ""
    ad_hoc: bool = False
    retry: Retry | None = None
    resources: dict[str, int] = field(default_factory=dict)
    priority: int = 0
    timeout: TimeoutSpec | None = None
    #: seconds after the due time from which on a run counts as late
    late_after: float = 60.0
    expect: Expect | None = None
    output: OutputPolicy = field(default_factory=OutputPolicy)
    #: seconds that a run may wait for its conditions; None: the config's `waiting.max_time`
    max_wait: float | None = None
    #: where templates and schedules find calendars by name
    calendars: Calendars = field(default_factory=Calendars, compare=False, repr=False)

    @property
    def description(self) -> str:
        """Markdown, as written; empty if there is none."""
        return str(self.metadata.get("description") or "")

    @property
    def labels(self) -> list[str]:
        """Words to group jobs by."""
        labels = self.metadata.get("labels") or []
        return [str(label) for label in labels] if isinstance(labels, list) else [str(labels)]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a job directory holds: the jobs that are good, and everything found wrong with any file."""

    jobs: dict[str, Job]
    #: errors and warnings, by file and line
    errors: list[Finding]


class JobError(ApsisError):
    """A definition cannot be a job; `findings` has every reason."""

    code = "bad_job"

    def __init__(self, job_id: str, findings: list[Finding]) -> None:
        errors = [finding for finding in findings if finding.severity == "error"]
        first = errors[0].message if errors else "it has no content"
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"job {job_id!r}: {first}{more}", loc=errors[0].path if errors else "")
        self.job_id = job_id
        self.findings = findings
