"""Web and scheduler: what people ask for, and the answers.

A request travels as SEND and is answered with OK or NO once its effect is committed. `request_id` makes
it safe to send again: the same id and body give the same answer.
"""

from typing import Any

import msgspec

from apsis.messages.body import Body


class CreateRun(Body, frozen=True, kw_only=True, tag="create_run"):
    """Make runs of a job: now, or at `schedule_time`."""

    job_id: str
    args: dict[str, str] = {}
    schedule_time: str | None = None
    stop_time: str | None = None
    count: int = 1
    dry_run: bool = False


class CreateAdHoc(Body, frozen=True, kw_only=True, tag="create_ad_hoc"):
    """Make a run of a job that is given here in full and never loaded."""

    job: dict[str, Any]
    args: dict[str, str] = {}
    schedule_time: str | None = None
    stop_time: str | None = None
    count: int = 1
    dry_run: bool = False


class ActOnRun(Body, frozen=True, kw_only=True, tag="act"):
    """Do one thing to one run: `start`, `skip`, `stop`, `kill`, `signal`, `abandon`, `mark`, `rerun`."""

    run_id: str
    action: str
    #: for `signal`: its number
    signal: int | None = None
    #: for `mark`: a finished state
    state: str | None = None
    #: for `rerun`: `then` (same version of the job, same args) or `now` (today's version)
    as_: str = msgspec.field(name="as", default="now")


class ReloadJobs(Body, frozen=True, kw_only=True, tag="reload"):
    """Read the job directory again."""

    dry_run: bool = False
    force: bool = False


class PauseJobs(Body, frozen=True, kw_only=True, tag="pause"):
    """Hold a job, or everything: nothing is started of it but by a person."""

    #: None: all jobs
    job_id: str | None = None
    #: for whoever asks why it does not run
    reason: str = ""


class ResumeJobs(Body, frozen=True, kw_only=True, tag="resume"):
    """Let a job, or everything, go on; what was due meanwhile is on record, and does not run."""

    #: None: what was paused as a whole
    job_id: str | None = None
    reason: str = ""


class ArchiveRuns(Body, frozen=True, kw_only=True, tag="archive_runs"):
    """Move runs that ended long ago into a file of their own: copied there first, and only what lies there is deleted.

    Answered with `{archived, more, path}`.
    """

    #: one that is not whole is below the home
    path: str
    #: seconds since their end, at least
    age: float
    #: at most so many, 200 at most
    count: int = 200


class FreePages(Body, frozen=True, kw_only=True, tag="free_pages"):
    """Give free pages of the database back to the disk. Answered with `{freed, left, page_size}`."""

    pages: int = 2000


Deed = CreateRun | CreateAdHoc | ActOnRun | ReloadJobs | PauseJobs | ResumeJobs | ArchiveRuns | FreePages


class Request(Body, frozen=True, kw_only=True, tag="request"):
    """Web asks, scheduler answers with `Done` (OK) or `Failed` (NO)."""

    request_id: str
    #: `user:NAME` or `token:NAME`
    actor: str
    do: Deed


class Done(Body, frozen=True, kw_only=True, tag="done"):
    """The effect is committed; `seq` is the id of its last event."""

    seq: int
    #: what REST answers with: `{"runs": [...]}`, `{"run": {...}}`, `{"added": [...], ...}`
    result: dict[str, Any] = {}


class Failed(Body, frozen=True, kw_only=True, tag="failed"):
    """Nothing was done; `code` is that of `apsis.errors`."""

    code: str
    message: str
    hint: str = ""
    loc: str = ""
    findings: list[dict[str, Any]] = []
