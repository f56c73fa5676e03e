"""How a run is brought to its end: what to do next, decided from what has happened and the time.

Nothing is done here. Times are seconds on the monotonic clock. While the program lives: the stop
signal (or the timeout's) to its group, the grace period, then KILL to all its descendants. When it
has ended: TERM to what it left behind, five seconds, KILL again and again until nothing is left.
"""

from typing import Final, NamedTuple

from apsis_services.supervisor.zygote.orders import SignalOrder, StopOrder

#: from TERM to KILL, for what a program leaves behind
LEFTOVER_GRACE: Final = 5.0
#: KILLs that do not help are given up after so long, once the program itself has ended
KILL_SECONDS: Final = 10.0
#: from one round of KILLs to the next: at first, and when they have not helped for a second
KILL_PAUSE: Final = 0.02
KILL_PAUSE_LATER: Final = 0.5
#: a program that lives so long after its first KILL is stuck: that is told, and KILL comes more rarely
STUCK_SECONDS: Final = 5.0
KILL_PAUSE_STUCK: Final = 5.0
STOP: Final = "stop"
TIMEOUT: Final = "timeout"


class Policy(NamedTuple):
    """What the job asks for."""

    #: seconds from a timeout's signal to KILL; a stop order brings its own
    grace: float
    #: seconds that the program may run
    timeout: float | None = None
    timeout_signal: int = 15
    #: leave descendants alone when the program has ended by itself
    leave: bool = False


class Course(NamedTuple):
    """What has happened so far."""

    began: float
    ended: float | None = None
    #: the stop order in force
    stop: StopOrder | None = None
    #: its signal is still to be sent
    stop_due: bool = False
    #: when the first stop signal was sent
    stopped_at: float | None = None
    timed_out_at: float | None = None
    #: KILL is due then
    kill_at: float | None = None
    #: when the leftovers got TERM
    term_at: float | None = None
    #: first and last round of KILLs
    killing_since: float | None = None
    killed_at: float | None = None
    #: a child has ended since the last round
    reaped: bool = False


class Wait(NamedTuple):
    """Nothing to do before `until`, or before something happens; None: only that."""

    until: float | None


#: made once: most runs wait for nothing else
FOR_EVER: Final = Wait(None)


class SignalGroup(NamedTuple):
    """Send a signal to the program's process group, for a cause: `stop` or `timeout`."""

    signal: int
    cause: str


class TermRest(NamedTuple):
    """Send TERM to all descendants that are left."""


class KillAll(NamedTuple):
    """Send KILL to the program, if it lives, and to all its descendants."""


class Finish(NamedTuple):
    """Nothing is left to do; what still lives is left alone, or cannot be ended."""


Action = Wait | SignalGroup | TermRest | KillAll | Finish


def decide(policy: Policy, course: Course, now: float, *, kin: bool) -> Action:
    """Return what to do next. `kin`: a descendant lives; asked only when the program has ended."""
    if course.ended is None:
        return _while_it_runs(policy, course, now)
    return _afterwards(policy, course, course.ended, now, kin=kin)


def _while_it_runs(policy: Policy, course: Course, now: float) -> Action:
    if course.stop is not None and course.stop_due:
        return SignalGroup(course.stop.signal, STOP)
    if course.kill_at is not None and now >= course.kill_at:
        return _kill(course, now)
    limit = None
    if policy.timeout is not None and course.timed_out_at is None and course.stop is None:
        limit = course.began + policy.timeout
        if now >= limit:
            return SignalGroup(policy.timeout_signal, TIMEOUT)
    until = _earlier(limit, course.kill_at)
    return FOR_EVER if until is None else Wait(until)


def _afterwards(policy: Policy, course: Course, ended: float, now: float, *, kin: bool) -> Action:
    if not kin or (policy.leave and course.stop is None and course.timed_out_at is None):
        return Finish()
    if course.killing_since is not None:
        return Finish() if now >= max(course.killing_since, ended) + KILL_SECONDS else _kill(course, now)
    if course.kill_at is not None and now >= course.kill_at:
        return KillAll()
    if course.term_at is None:
        return TermRest()
    due = _earlier(course.term_at + LEFTOVER_GRACE, course.kill_at)
    return KillAll() if due is not None and now >= due else Wait(due)


def _kill(course: Course, now: float) -> Action:
    """Kill in rounds: the next at once when something has ended, since its children have come to light."""
    if course.killing_since is None or course.killed_at is None or course.reaped:
        return KillAll()
    pause = KILL_PAUSE if now < course.killing_since + 1.0 else KILL_PAUSE_LATER
    if is_stuck(course, now):
        pause = KILL_PAUSE_STUCK
    return KillAll() if now >= course.killed_at + pause else Wait(course.killed_at + pause)


def is_stuck(course: Course, now: float) -> bool:
    """Whether the program itself lives although KILL was sent to it again and again."""
    return course.ended is None and course.killing_since is not None and now >= course.killing_since + STUCK_SECONDS


def _earlier(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def accept(course: Course, order: StopOrder, now: float) -> Course:
    """Return the course with a stop order in force. It may bring KILL nearer, never put it off."""
    if order == course.stop:
        return course
    return course._replace(stop=order, stop_due=True, kill_at=_earlier(course.kill_at, now + order.grace))


def advance(policy: Policy, course: Course, action: Action, now: float) -> Course:
    """Return the course after an action was done."""
    match action:
        case SignalGroup(_, cause) if cause == STOP:
            first = now if course.stopped_at is None else course.stopped_at
            return course._replace(stop_due=False, stopped_at=first)
        case SignalGroup():
            return course._replace(timed_out_at=now, kill_at=_earlier(course.kill_at, now + policy.grace))
        case TermRest():
            return course._replace(term_at=now)
        case KillAll():
            since = now if course.killing_since is None else course.killing_since
            return course._replace(killing_since=since, killed_at=now, reaped=False)
        case _:
            return course


def blame(policy: Policy, course: Course, signal: int | None, ordered: SignalOrder | None, limit: str = "") -> str:
    """Return who or what ended the program; empty: it ended by itself.

    `signal` is what it died of, `ordered` the last signal that somebody had sent to it, `limit` the limit of the
    run that it ran into.
    """
    if course.timed_out_at is not None:
        return f"timeout {policy.timeout:g}s"
    if course.stopped_at is not None and course.stop is not None:
        return f"stop by {course.stop.by}"
    if signal is None:
        return ""
    if ordered is not None and ordered.signal == signal:
        return f"signal {signal} by {ordered.by}"
    return limit or f"signal {signal} not sent by apsis"
