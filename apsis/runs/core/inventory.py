"""Taking over what a host holds: runs that the database lacks are made, and those that it has as they were, corrected.

Nothing is started by it. A run whose end was acknowledged to the database that was lost has had its successors
then, and gets none again.
"""

import re
from typing import Final

from msgspec.structs import replace

from apsis.jobs.job import Job
from apsis.messages.dispatch import Counted, Finished, Held, Lost, Revoked, Started
from apsis.programs.templated import BindError
from apsis.runs.core.book import BEFORE, Host
from apsis.runs.core.deeds import remember
from apsis.runs.core.hosts import MAYBE_STARTED, forget
from apsis.runs.core.making import expand_run, new_row, schedule_run
from apsis.runs.core.memo import Memo, read_memo
from apsis.runs.core.outcomes import apply, said
from apsis.runs.core.renewal import ask, has_settled
from apsis.runs.core.rows import RunRow, args_key
from apsis.runs.core.starts import order_start
from apsis.runs.core.stops import order_again
from apsis.runs.core.turn import Turn
from apsis.runs.core.waiting import ForHost
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, IllegalTransition, State
from apsis.times import parse_time, to_micros

_AHEAD: Final = frozenset({State.SCHEDULED, State.WAITING})
#: a number that we could have given; another id on a host is kept, and goes by a new number here
_NUMBER: Final = re.compile(r"r([1-9][0-9]{0,14})")


def held(turn: Turn, host: Host, report: Held) -> None:
    """Take over one run of a host: make it, or correct it."""
    book = turn.book
    host.told.add((report.journal, report.run_id))
    report = _as_owed(turn, host, report)
    if (number := _NUMBER.fullmatch(report.run_id)) and report.journal != book.journal:
        _raise_to(turn, int(number[1]))
    row = book.find_held(host.row.host, report.journal, report.run_id)
    is_free = row is None and book.find(report.run_id) is None
    if row is not None and not _same(turn, row, report):
        is_free = _renumber(turn, row, report)
        row = None
    is_new = row is None
    if row is None and report.job_id:
        row = _make(turn, report, is_free=is_free)
    if row is None:
        # its claim was taken before its start had come: nothing says what it was, and nothing ran
        forget(turn, host, report.journal, report.run_id)
        return
    told = _tell(report)
    if row.run.state in FINISHED:
        _beside(turn, row, told, f"supervisor/{host.row.host}")
    else:
        _correct(turn, host, row, report, told)
    if is_new:
        remember(turn, book.find(row.run.run_id) or row)
    if told is not None and not isinstance(told, Started) and not report.archived:
        forget(turn, host, report.journal, report.run_id)


def owe(turn: Turn, host: Host, journal: int, run_id: str) -> None:
    """Remember an end that is acknowledged before it is known here whose it is.

    Its host takes it for told from then on, whatever becomes of us: without this its successors would never be made.
    """
    name = f"{journal}:{run_id}"
    if name not in host.row.owed:
        turn.keep_host(host, replace(host.row, owed=[*host.row.owed, name]))


def _as_owed(turn: Turn, host: Host, report: Held) -> Held:
    """Take an end for one that nothing has followed from, where it was acknowledged only because it was not known."""
    name = f"{report.journal}:{report.run_id}"
    if name not in host.row.owed:
        return report
    turn.keep_host(host, replace(host.row, owed=[other for other in host.row.owed if other != name]))
    return replace(report, told=False)


def _raise_to(turn: Turn, number: int) -> None:
    if number > turn.book.last_run:
        turn.book.last_run = number
        turn.effects.meta["last_run"] = str(number)


def _same(turn: Turn, row: RunRow, report: Held) -> bool:
    """Say whether a run of this number is the one that the host holds, and no later one that got its number again."""
    run = row.run
    if report.job_id and (run.job_id, run.schedule_time, row.args_key) != (
        report.job_id,
        report.schedule_time,
        args_key(report.args),
    ):
        return False
    if run.state not in BEFORE or run.expected:
        return True
    made = min(run.timestamps.values(), default="")
    return row.num <= turn.book.made_before and not (made and report.at and report.at < made)


def _renumber(turn: Turn, row: RunRow, report: Held) -> bool:
    """Make way for the host's run: one made ahead just now gets another number, others are claimed under our own.

    Returns whether the number is free.
    """
    run, book = row.run, turn.book
    if run.expected and run.state in _AHEAD and row.num > book.made_before:
        job = book.version(run.job_version, run.job_id)
        if job is not None and row.facts.schedule is not None:
            book.take_back(run.run_id)
            book.waiting.remove(run.run_id)
            turn.withdraw(row, "its number was given before the database was put back; it is made anew")
            due, stop = (parse_time(text) if text else None for text in (run.schedule_time, run.stop_time))
            schedule_run(turn, new_row(turn, job, run.args, due, schedule=row.facts.schedule, stop=stop))
            return True
    if row.run.state in BEFORE and row.run.journal != book.journal:
        text = f"{report.run_id} was given before, to a run of {report.job_id} that the restored database lacks"
        turn.note(row, text, journal=book.journal)
    return False


def _make(turn: Turn, report: Held, *, is_free: bool) -> RunRow:
    """Return a run that the database lacks, in state `new` and written nowhere yet."""
    book = turn.book
    memo = read_memo(report.memo)
    number = _NUMBER.fullmatch(report.run_id)
    num = int(number[1]) if number and is_free else book.last_run + 1
    _raise_to(turn, num)
    job = book.version(memo.version, report.job_id) or book.jobs.get(report.job_id)
    run = Run(
        run_id=f"r{num}",
        job_id=report.job_id,
        args=report.args,
        state=State.NEW,
        schedule_time=report.schedule_time,
        labels=job.labels if job else [],
        expected=_is_expected(turn, report, memo),
        job_version=memo.version or (job.version if job else ""),
        rerun_of=memo.rerun_of,
        retry_of=memo.retry_of,
        attempt=memo.attempt,
        journal=report.journal,
        held_as="" if f"r{num}" == report.run_id else report.run_id,
    )
    return RunRow(num, args_key(report.args), run, memo.facts())


def _is_expected(turn: Turn, report: Held, memo: Memo) -> bool:
    """Say whether it stands for a due time of a schedule; a run made anew for that time is taken back."""
    if report.schedule_time is None or memo.expected is False:
        return False
    book = turn.book
    due, key = to_micros(parse_time(report.schedule_time)), args_key(report.args)
    twin = book.made.get(report.job_id, {}).get((due, key))
    if twin is None:
        return not book.archive.made(report.job_id, due, key) and not any(
            row.run.expected and row.run.schedule_time == report.schedule_time and row.args_key == key
            for row in book.fresh.values()
            if row.run.job_id == report.job_id
        )
    row = book.rows[twin]
    if row.run.state is State.SCHEDULED:
        book.take_back(twin)
        turn.withdraw(row, f"it ran as {report.run_id} before the database was put back")
        return True
    if row.run.state in BEFORE:
        turn.move(row, State.SKIPPED, f"it ran as {report.run_id} before the database was put back")
        _without_follow_ups(turn, twin)
    return False


def _tell(report: Held) -> Started | Finished | Lost | Revoked | None:
    """Return what an ordinary report would say of a run now; None: it is claimed, and more will come."""
    run_id, at = report.run_id, report.at
    if report.ending is not None:
        return report.ending
    if report.state == "lost":
        return Lost(seq=0, run_id=run_id, at=at, reason=report.reason)
    if report.state == "revoked":
        return Revoked(seq=0, run_id=run_id, at=at)
    if report.start is not None:
        return Started(seq=0, run_id=run_id, at=report.start, pid=report.pid)
    return None


def _correct(
    turn: Turn, host: Host, row: RunRow, report: Held, told: Started | Finished | Lost | Revoked | None
) -> None:
    """Bring an unfinished run to where its host has it."""
    actor = f"supervisor/{host.row.host}"
    if row.run.state in BEFORE:
        row = _as_begun(turn, host, row, report, actor)
    elif row.run.host != host.row.host:
        turn.note(row, f"held by host {host.row.host}, where it does not run", actor=actor, event="refused")
        return
    elif not row.facts.claimed or row.facts.process is not None:
        row = turn.keep(row, replace(row.facts, claimed=True, process=None, boot=None))
    if told is None or (isinstance(told, Started) and row.run.state in {State.RUNNING, State.STOPPING}):
        return
    try:
        row = apply(turn, row, told, actor)
    except IllegalTransition as error:
        turn.note(row, f"{said(told)}; {error}", actor=actor, event="refused")
    if report.told and row.run.state in FINISHED:
        _without_follow_ups(turn, row.run.run_id)


def _as_begun(turn: Turn, host: Host, row: RunRow, report: Held, actor: str) -> RunRow:
    """Let a run that counts as not begun enter `starting` when it did."""
    memo = read_memo(report.memo)
    facts = replace(row.facts, process=None, claimed=True, epoch=host.row.epoch, booted=host.row.boot)
    facts = replace(
        facts,
        success_codes=memo.success_codes,
        error_codes=memo.error_codes,
        own_signal=memo.own_signal,
        own_grace=memo.own_grace,
    )
    job = turn.book.version(row.run.job_version, row.run.job_id)
    changes = _bound(turn, row, job) if job is not None else {}
    reason = f"it was started on host {host.row.host} before the database was put back from a backup"
    return turn.move(
        row,
        State.STARTING,
        reason,
        actor=actor,
        facts=facts,
        entered=report.at or None,
        host=host.row.host,
        journal=report.journal,
        **changes,
    )


def _bound(turn: Turn, row: RunRow, job: Job) -> dict[str, list[dict[str, object]] | dict[str, object]]:
    """Return what its job says that a run carries out, as far as it still can be said."""
    try:
        bound = expand_run(turn, job, row.run)
    except BindError:
        return {}
    return {
        "program": bound.program.to_json(),
        "conditions": [condition.to_json() for condition in bound.conditions],
        "actions": [action.to_json() for action in bound.actions],
    }


def _without_follow_ups(turn: Turn, run_id: str) -> None:
    """Have nothing follow from an end: what follows from it was made when it came."""
    ended = turn.book.ended
    if ended and ended[-1].run.run_id == run_id:
        ended.pop()


def _beside(turn: Turn, row: RunRow, told: Started | Finished | Lost | Revoked | None, actor: str) -> None:
    """Record a true result beside a state that was decided without it."""
    if row.run.state is not State.ERROR or not isinstance(told, Finished) or row.run.rusage is not None:
        return
    if told.exit.error or any(entry.event == "refused" for entry in row.log):
        return
    turn.note(row, f"{said(told)}; it stays in error", actor=actor, event="refused")


def counted(turn: Turn, host: Host, report: Counted) -> None:
    """All has been told: what the host does not hold is started anew or lost, and dispatching goes on."""
    book = turn.book
    if report.dispatch != host.counting or report.journal not in {0, book.journal}:
        return
    host.counting = None
    command = book.commands.get(host.row.host, {}).get(report.dispatch)
    if command is not None:
        turn.settle(command)
    turn.keep_host(host, replace(host.row, journal=book.journal, heard=turn.at, owed=[]))
    turn.sys_event("inventory", host=host.row.host, runs=report.count)
    for run_id in sorted(host.asked & host.busy):
        _settle(turn, host, book.rows[run_id])
    host.told.clear()
    if has_settled(book, host):
        # that was said while it told, and may be of a run that lies too long in the archive to have been told
        ask(turn, host, everything=True)
    book.agenda.extend(book.waiting.all_of(ForHost(host.row.host)))


def _settle(turn: Turn, host: Host, row: RunRow) -> None:
    run, facts = row.run, row.facts
    named = turn.named(row)
    is_held = (named["journal"], named["run_id"]) in host.told
    if is_held or (facts.process is not None and facts.stop_by is not None):
        if run.state is State.STOPPING or facts.stop_by is not None:
            # the order was taken back with the old number; where there is no claim it takes it, and the run is skipped
            order_again(turn, row)
    elif facts.process is None:
        turn.move(row, State.ERROR, "its host holds nothing of it: how it ended is not known")
    elif (facts.epoch, facts.boot) != (host.row.epoch, host.row.boot):
        turn.move(row, State.ERROR, MAYBE_STARTED)
    else:
        command = order_start(turn, row)
        turn.keep(row, replace(facts, process=None, boot=None, dispatch=command.dispatch, booted=command.boot))
