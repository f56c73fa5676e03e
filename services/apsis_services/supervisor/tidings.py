"""What is worth a report: from what a journal says to the message that the scheduler gets. Pure."""

from enum import IntFlag

from apsis.messages.dispatch import Finished, Held, Report, Revoked, Start, Started
from apsis_services.supervisor.facts import Facts, Key, Phase


class Told(IntFlag):
    """What has been reported of a run, so that a restart reports nothing twice."""

    NOTHING = 0
    STARTED = 1
    LOST = 2
    #: finished or revoked
    ENDED = 4


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


def held(key: Key, facts: Facts) -> Held:
    """Return the report of one run of an inventory."""
    return Held(
        seq=0,
        run_id=key.run_id,
        job_id=facts.job_id,
        schedule_time=facts.schedule_time,
        args=facts.args,
        journal=key.journal,
        state=str(facts.phase),
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
    )
