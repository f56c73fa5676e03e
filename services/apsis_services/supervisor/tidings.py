"""What is worth a report: from what a journal says to the message that the scheduler gets. Pure."""

from enum import IntFlag
from typing import Final

from apsis.messages.dispatch import Finished, Held, Lost, Report, Revoked, Start, Started, Stuck
from apsis_services.supervisor.facts import ENDED, Facts, Key, Phase

#: the program has begun, and its ending is not known yet
_BEGUN: Final = frozenset({Phase.STARTED, Phase.RESULT})


class Told(IntFlag):
    """What has been reported of a run, so that a restart reports nothing twice."""

    NOTHING = 0
    STARTED = 1
    LOST = 2
    #: finished or revoked
    ENDED = 4
    STUCK = 8


def report_of(key: Key, facts: Facts) -> tuple[Report, Told] | None:
    """Return the report that a journal in this phase is worth, not numbered yet, and what is told with it.

    A program that is done when its journal is first read is told of once, by its end.
    """
    match facts.phase:
        case Phase.STARTED | Phase.RESULT:
            return Started(seq=0, run_id=key.run_id, at=facts.at, pid=facts.pid), Told.STARTED
        case Phase.DONE if facts.ending is not None:
            return _finished(key, facts), Told.ENDED
        case Phase.REVOKED:
            return Revoked(seq=0, run_id=key.run_id, at=facts.at), Told.ENDED
        case _:
            return None


def stuck_report(key: Key, facts: Facts) -> Stuck | None:
    """Return the report that a program cannot be killed; None: it can, as far as is known, or has ended."""
    if facts.phase is not Phase.STARTED or not facts.stuck:
        return None
    return Stuck(seq=0, run_id=key.run_id, at=facts.stuck_at, pid=facts.pid, state=facts.stuck, journal=key.journal)


def held(key: Key, facts: Facts, *, lost: Lost | None = None, told: bool = False, archived: bool = False) -> Held:
    """Return the report of one run of an inventory; `told`: its end was acknowledged once."""
    ended = facts.phase in ENDED
    return Held(
        seq=0,
        run_id=key.run_id,
        job_id=facts.job_id,
        schedule_time=facts.schedule_time,
        args=facts.args,
        journal=key.journal,
        state=str(facts.phase) if ended or lost is None else "lost",
        at=facts.claimed or (facts.at if facts.phase is Phase.REVOKED else ""),
        start=facts.ending.start if facts.ending else facts.at if facts.phase in _BEGUN else None,
        pid=facts.pid,
        ending=_finished(key, facts) if facts.phase is Phase.DONE and facts.ending is not None else None,
        reason="" if ended or lost is None else lost.reason,
        told=told,
        archived=archived,
        memo=facts.memo,
    )


def differs(start: Start, facts: Facts) -> bool:
    """Return whether a start is of another job, time or args than the claim that its run has."""
    claim = (facts.job_id, facts.schedule_time, facts.args_hash)
    return claim != (start.job_id, start.schedule_time, start.args_hash)


def claim_of(start: Start) -> Facts:
    """Return what the journal of a start says when it has just been put in place."""
    return Facts(
        phase=Phase.CLAIMED,
        dispatch=start.dispatch,
        job_id=start.job_id,
        schedule_time=start.schedule_time,
        args_hash=start.args_hash,
        args=start.args,
        memo=start.memo,
    )


def _finished(key: Key, facts: Facts) -> Finished:
    ending = facts.ending
    assert ending is not None
    return Finished(
        seq=0,
        run_id=key.run_id,
        start=ending.start,
        end=ending.end,
        elapsed=ending.elapsed,
        exit=ending.exit,
        stopped=ending.stopped,
        timed_out=ending.timed_out,
        rusage=ending.rusage,
        outputs=ending.outputs,
        leftovers=ending.leftovers,
        journal=key.journal,
    )
