"""The fixed statements by which each turn is written, and the rows that they take: 20 µs each, with executemany."""

from collections.abc import Sequence
from typing import Any, Final

from apsis.messages.body import encode
from apsis.messages.events import Event, JobEvent, RunEvent
from apsis.runs.core.rows import CommandRow, CursorRow, HostRow, JobRow, RequestRow, RunRow
from apsis.runs.states import FINISHED
from apsis.times import parse_time, to_micros
from apsis_bus import topics

Row = Sequence[Any]

PUT_RUN: Final = """
    INSERT INTO run (num, job_id, args_key, state, due, time_key, finished, expected, rev, doc, facts, log)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (num) DO UPDATE SET state = excluded.state, finished = excluded.finished, rev = excluded.rev,
        doc = excluded.doc, facts = excluded.facts, log = excluded.log
"""
DROP_RUN: Final = "DELETE FROM run WHERE num = ?"
ADD_EVENT: Final = "INSERT INTO event (id, at, topic, run_id, body) VALUES (?, ?, ?, ?, ?)"
ADD_COMMAND: Final = "INSERT INTO command (host, dispatch, run_id, epoch, boot, body) VALUES (?, ?, ?, ?, ?, ?)"
DROP_COMMAND: Final = "DELETE FROM command WHERE host = ? AND dispatch = ?"
PUT_CURSOR: Final = "REPLACE INTO cursor (job_id, key, at, behind, until, why) VALUES (?, ?, ?, ?, ?, ?)"
DROP_CURSOR: Final = "DELETE FROM cursor WHERE job_id = ? AND key = ?"
PUT_HOST: Final = "REPLACE INTO host (host, doc) VALUES (?, ?)"
PUT_JOB: Final = "REPLACE INTO job (job_id, hash, doc) VALUES (?, ?, ?)"
DROP_JOB: Final = "DELETE FROM job WHERE job_id = ?"
ADD_VERSION: Final = "INSERT OR IGNORE INTO job_version (hash, job_id, definition) VALUES (?, ?, ?)"
ADD_TAKEN: Final = "REPLACE INTO job_taken (job_id, at, hash) VALUES (?, ?, ?)"
PUT_META: Final = "REPLACE INTO meta (key, value) VALUES (?, ?)"
ADD_REQUEST: Final = "REPLACE INTO request (request_id, body_hash, at, answer) VALUES (?, ?, ?, ?)"


def run_values(row: RunRow) -> Row:
    """Return a run as `PUT_RUN` takes it."""
    run = row.run
    due = to_micros(parse_time(run.schedule_time)) if run.schedule_time else None
    time_key = due if due is not None else to_micros(parse_time(next(iter(run.timestamps.values()))))
    return (
        row.num,
        run.job_id,
        row.args_key,
        run.state.value,
        due,
        time_key,
        run.state in FINISHED,
        run.expected,
        run.rev,
        encode(run),
        encode(row.facts),
        encode(row.log),
    )


def event_values(event: Event, body: bytes) -> Row:
    """Return an event as `ADD_EVENT` takes it."""
    run_id = event.run_id if isinstance(event, RunEvent) else None
    return (event.id, to_micros(parse_time(event.at)), topic_of(event), run_id, body)


def topic_of(event: Event) -> str:
    """Return the topic on which an event is published."""
    if isinstance(event, RunEvent):
        return topics.run_event(event.job_id, event.run_id, event.event)
    if isinstance(event, JobEvent):
        return topics.job_event(event.job_id)
    return topics.sys_event(event.kind)


def command_values(row: CommandRow) -> Row:
    """Return a command as `ADD_COMMAND` takes it."""
    return (row.host, row.dispatch, row.run_id, row.epoch, row.boot, encode(row.command))


def cursor_values(row: CursorRow) -> Row:
    """Return a cursor as `PUT_CURSOR` takes it."""
    return (row.job_id, row.key, row.at, row.behind, row.until, row.why)


def host_values(row: HostRow) -> Row:
    """Return a host as `PUT_HOST` takes it."""
    return (row.host, encode(row))


def job_values(row: JobRow) -> Row:
    """Return a job as `PUT_JOB` takes it."""
    return (row.job_id, row.version, encode(row.doc))


def request_values(row: RequestRow) -> Row:
    """Return a request as `ADD_REQUEST` takes it."""
    return (row.request_id, row.body_hash, row.at, row.answer)
