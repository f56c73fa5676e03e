"""Runs: lists by window, one run, its action log, and making new ones."""

from typing import Any, Final

import msgspec

from apsis.errors import BadRequest, NotFound
from apsis.filters import Filter, parse
from apsis.filters.errors import did_you_mean
from apsis.messages.events import RunEvent
from apsis.messages.requests import CreateAdHoc, CreateRun
from apsis.runs.run import LogEntry
from apsis.times import format_time, parse_time
from apsis_web.cache import Cache
from apsis_web.database import Database
from apsis_web.handlers.resource import Resource
from apsis_web.window import ROWS_MAX, Spec, Window, anchor_of, read_cursor, read_window, write_cursor

_LIMIT: Final = 100
_SORTS: Final = ("time", "-time", "asc", "desc")
#: share of a window that lies before its anchor, so that the line of now is at 60 % of the page
_BEFORE: Final = 0.6
LIST: Final = ("q", "sort", "order", "limit", "before", "after", "anchor", "fields")
_COUNT_MAX: Final = 1_000


class NewRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /runs: of a job by its id, or of one that is given in full."""

    job_id: str | None = None
    job: dict[str, Any] | None = None
    args: dict[str, str] = {}
    schedule_time: str | None = None
    stop_time: str | None = None
    count: int = 1
    dry_run: bool = False


class RunList(Resource):
    """A list of runs, by window."""

    async def send_window(self, filter_: Filter, given: dict[str, str]) -> None:
        """Answer with the window of a filter that the query's arguments ask for."""
        cache = self.site.cache
        cache.require()
        newest_first = _is_descending(given)
        spec = _spec(given, self.now)
        window = await read_window(cache, self.site.database, filter_, spec, self.now)
        fields = _fields(given.get("fields", ""))
        self.send(_list(window, newest_first, fields))


class Runs(RunList):
    """GET and POST /runs."""

    async def get(self) -> None:
        """Return a window of the runs that match."""
        given = self.arguments_of(*LIST)
        await self.send_window(parse(given.get("q", "")), given)

    async def post(self) -> None:
        """Make runs."""
        new = self.body(NewRun)
        try:
            done = await self.do(_deed(new))
        except NotFound:
            if new.job_id is not None:
                # The same refusal, with the id that was probably meant.
                require_job(self.site.cache, new.job_id)
            raise
        self.send({**done.result, "seq": done.seq}, 200 if new.dry_run else 201)


class OneRun(Resource):
    """GET /runs/{id}."""

    async def get(self, run_id: str) -> None:
        """Return the run."""
        self.arguments_of()
        data = await self.run_json(run_id)
        self.send(msgspec.Raw(data))


class RunLog(Resource):
    """GET /runs/{id}/log."""

    async def get(self, run_id: str) -> None:
        """Return the action log, oldest first."""
        self.arguments_of()
        await self.run_json(run_id)
        self.send({"log": await read_log(self.site.database, self.run_number(run_id))})


async def read_log(database: Database, num: int, since: int = 0) -> list[LogEntry]:
    """Return the action log of a run after event `since`: its folded history, then the events still kept.

    Raises:
        Unavailable: the database cannot be read.
    """
    history, events = await database.log(num, since)
    log = msgspec.json.decode(history, type=list[LogEntry]) if history else []
    log = [entry for entry in log if entry.seq > since]
    known = {entry.seq for entry in log}
    for event_id, body in events:
        if event_id in known:
            continue
        event = msgspec.json.decode(body, type=RunEvent)
        log.append(
            LogEntry(
                seq=event_id, at=event.at, actor=event.actor, event=event.event, old=event.old, reason=event.reason
            )
        )
    log.sort(key=lambda entry: entry.seq)
    return log


def require_job(cache: Cache, job_id: str) -> None:
    """Raise NotFound, with what comes near, if there is no such job."""
    if job_id not in cache.jobs:
        near = did_you_mean(job_id, cache.jobs)
        hint = near if near.startswith("did") else "`apsis jobs` lists them"
        raise NotFound(f"no job {job_id[:200]!r}", hint=hint)


def _deed(new: NewRun) -> CreateRun | CreateAdHoc:
    if (new.job_id is None) == (new.job is None):
        raise BadRequest("give either job_id or job", hint='{"job_id": "etl/load", "args": {...}}', loc="job_id")
    if not 1 <= new.count <= _COUNT_MAX:
        raise BadRequest(f"count must be between 1 and {_COUNT_MAX}", loc="count")
    times = {
        "schedule_time": _time(new.schedule_time, "schedule_time"),
        "stop_time": _time(new.stop_time, "stop_time"),
    }
    if new.job is not None:
        return CreateAdHoc(job=new.job, args=new.args, count=new.count, dry_run=new.dry_run, **times)
    assert new.job_id is not None
    return CreateRun(job_id=new.job_id, args=new.args, count=new.count, dry_run=new.dry_run, **times)


def _time(text: str | None, loc: str) -> str | None:
    if text is None:
        return None
    try:
        return format_time(parse_time(text))
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"{loc}: {error}", hint="write 2026-06-30T14:32:07Z", loc=loc) from None


def _is_descending(given: dict[str, str]) -> bool:
    chosen = given.get("sort") or given.get("order") or "time"
    if chosen not in _SORTS:
        loc = "sort" if "sort" in given else "order"
        raise BadRequest(f"{loc} {chosen[:80]!r} is not known", hint=did_you_mean(chosen, _SORTS), loc=loc)
    return chosen in ("-time", "desc")


def _spec(given: dict[str, str], now: int) -> Spec:
    limit = _limit(given.get("limit"))
    if len([name for name in ("before", "after", "anchor") if name in given]) > 1:
        raise BadRequest("give one of before, after and anchor", loc="before")
    if "before" in given:
        return Spec(read_cursor(given["before"], "before"), limit, 0, fill=False)
    if "after" in given:
        key, num = read_cursor(given["after"], "after")
        # A cursor stands for a row that the caller has; a time has no number, and is no row.
        return Spec((key, num + 1 if num else 0), 0, limit, fill=False)
    before = round(limit * _BEFORE)
    return Spec(anchor_of(given.get("anchor", "now"), now), before, limit - before)


def _limit(text: str | None) -> int:
    if text is None:
        return _LIMIT
    if not text.isascii() or not text.isdigit() or int(text[:9]) > ROWS_MAX:
        raise BadRequest(f"limit must be a number from 0 to {ROWS_MAX}", loc="limit")
    return int(text)


def _fields(text: str) -> frozenset[str] | None:
    return frozenset(text.split(",")) if text else None


def _list(window: Window, newest_first: bool, fields: frozenset[str] | None) -> dict[str, Any]:
    rows: list[Any] = [msgspec.Raw(row.data) for row in window.rows]
    if fields is not None:
        runs = [msgspec.json.decode(row) for row in rows]
        rows = [{name: value for name, value in run.items() if name in fields} for run in runs]
    if newest_first:
        rows.reverse()
    first = window.rows[0].order if window.rows else None
    last = window.rows[-1].order if window.rows else None
    return {
        "runs": rows,
        "total": window.total,
        "exact": window.exact,
        "before": write_cursor(first) if window.low is not None else None,
        "after": write_cursor(last) if window.high is not None else None,
        "seq": window.seq,
    }
