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


Deed = CreateRun | CreateAdHoc | ActOnRun | ReloadJobs


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
