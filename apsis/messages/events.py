"""The event journal: what the scheduler committed, published on XPUB and handed out by REPLAY."""

from typing import Any

from apsis.messages.body import Body
from apsis.runs.run import Run


class RunEvent(Body, frozen=True, kw_only=True, tag="run"):
    """Scheduler publishes on `v1/ev/run/JOB/RUN/STATE/`; web, store, alerts and outsiders hear it.

    `run` is the whole row after the change, or None where it was withdrawn (`event` is then `withdrawn`).
    """

    id: int
    at: str
    run_id: str
    job_id: str
    actor: str
    #: the new state, or `refused`, `mark`, `note`, `withdrawn`, `late`, `too_long`, `too_fast`
    event: str
    old: str = ""
    reason: str = ""
    run: Run | None = None
    #: True: args were too large for the bus and are elided in `run`
    elided: bool = False


class JobEvent(Body, frozen=True, kw_only=True, tag="job"):
    """Scheduler publishes on `v1/ev/job/JOB/`: a job was `added`, `changed`, `removed`, `paused` or `resumed`."""

    id: int
    at: str
    job_id: str
    actor: str
    event: str
    #: what REST shows of the job; None when it was removed
    job: dict[str, Any] | None = None
    #: ids of its scheduled runs that are no more, because they are due no more
    withdrawn: list[str] = []


class SysEvent(Body, frozen=True, kw_only=True, tag="sys"):
    """Scheduler publishes on `v1/ev/sys/KIND/`: what happened to the installation itself.

    `started`, `reloaded`, `not_run` (a range of due times of one schedule, with the reason), `paused` and `resumed`
    (everything), `time_zones` (their rules have changed), `host`, `room` (a disk is too full for new runs, or no
    more), `journal` (the database was put back from a backup, and has a new number), `archived` (finished runs have
    left the database), `consumer_dropped` (a registered reader of events was silent for 30 days).
    """

    id: int
    at: str
    kind: str
    actor: str = "scheduler"
    detail: dict[str, Any] = {}


Event = RunEvent | JobEvent | SysEvent


class Heartbeat(Body, frozen=True, kw_only=True, tag="hb"):
    """Scheduler publishes on `v1/hb/` each 5 s, and with each group of events at most once a second."""

    journal: int
    term: int
    head: int
    floor: int
    now: str
    #: what keeps the scheduler from its work, for health; empty: nothing
    problems: list[str] = []
    #: what does not keep it from its work, and should be looked at
    warnings: list[str] = []
    #: random number made at each start of the scheduler; 0: not known
    life: int = 0


class Welcome(Body, frozen=True, kw_only=True, tag="welcome"):
    """Hub publishes on `v1/hello/PEER/` when that subscription has reached it: all earlier ones are in force."""

    hub: str
    journal: int = 0
    term: int = 0
    head: int = 0


class Replay(Body, frozen=True, kw_only=True, tag="replay"):
    """Anyone asks the scheduler for events after `since` whose topic begins with `prefix`."""

    since: int
    prefix: str = "v1/ev/"
    #: at most 500
    limit: int = 500


class Page(Body, frozen=True, kw_only=True, tag="page"):
    """Scheduler answers `Replay`: at most 500 events or 512 KiB; ask again from `last` until it equals `head`.

    With a NO and code `floor`, the events are gone: take a snapshot.
    """

    journal: int
    last: int
    head: int
    events: list[Event]
