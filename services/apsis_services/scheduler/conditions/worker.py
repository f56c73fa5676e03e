"""A worker: a process that looks at one condition at a time, and that can be killed at any moment."""

import contextlib
import io
import os
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import msgspec

from apsis.addresses import AddressRefused
from apsis.conditions.asked import Asked
from apsis.conditions.base import Condition, PolledCondition, ThreadedCondition, WaitingRun
from apsis.definitions.fields import shown
from apsis.errors import ApsisError
from apsis.extensions import ExtensionError, load_class, make, told
from apsis.failpoints import reach
from apsis.times import parse_time
from apsis_services.scheduler.conditions.linux import die_with_parent, inherit_orphans
from apsis_services.scheduler.conditions.wire import Ask, Begun, Outcome, Unframed, framed

#: what a look may take at most, whatever a class says; seconds
_LONGEST: Final = 3600.0
_SOONEST: Final = 1.0
#: more than a process can have, by the kernel's default
_DESCRIPTORS: Final = 1 << 20


def be_worker(parent: int, channel: socket.socket) -> NoReturn:
    """Be one, just forked: own session, nothing inherited but the channel, nothing printed anywhere."""
    try:
        os.setsid()
        die_with_parent(parent)
        inherit_orphans()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        own = channel.fileno()
        os.closerange(3, own)
        os.closerange(own + 1, _DESCRIPTORS)
        channel.setblocking(True)
        os.chdir("/")
        _serve(channel)
    finally:
        os._exit(0)


def _serve(channel: socket.socket) -> None:
    frames = Unframed()
    while data := channel.recv(65_536):
        for body in frames.feed(data):
            ask = msgspec.json.decode(body, type=Ask)
            outcome = look(ask, lambda timeout: channel.sendall(framed(Begun(timeout=timeout))))
            reach("worker.looked")
            channel.sendall(framed(outcome))


def look(ask: Ask, begun: Callable[[float | None], None]) -> Outcome:
    """Look at a condition; `begun` is told how long that may take, when all that comes before is done."""
    condition = Asked.from_json(ask.condition)
    if condition.path:
        return _look_by_class(ask, condition, begun)
    begun(condition.timeout)
    if condition.type == "file":
        from apsis_services.scheduler.conditions.files import look_at_file

        outcome = look_at_file(condition.keys, datetime.now(UTC))
    elif condition.type == "command":
        from apsis_services.scheduler.conditions.commands import look_by_command

        outcome = look_by_command(condition.keys)
    elif condition.type == "http":
        outcome = _look_by_request(condition.keys)
    else:
        outcome = Outcome(what="fails", text=f"this version of Apsis has no condition type {condition.type!r}")
    return outcome if outcome.again is not None else msgspec.structs.replace(outcome, again=condition.interval)


def _look_by_request(request: dict[str, Any]) -> Outcome:
    """Make the request, as a program of that type does, and take its last words where the answer is not as expected."""
    import urllib3

    from apsis.programs.fetch import fetch, filled

    said = io.StringIO()
    try:
        with open(os.devnull, "wb") as nowhere, contextlib.redirect_stderr(said):  # noqa: PTH123
            code = fetch(filled(request, [], {}), request["allowed"], nowhere)
    except AddressRefused as error:
        return Outcome(what="fails", text=f"{error.message}; {error.hint}")
    except (ApsisError, urllib3.exceptions.HTTPError, OSError) as error:
        return Outcome(what="waits", text=_plain(str(getattr(error, "message", error))))
    except SystemExit:
        return Outcome(what="fails", text=_plain(said.getvalue()))
    return Outcome(what="holds") if code == 0 else Outcome(what="waits", text=_plain(said.getvalue()))


def _plain(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()] or ["no answer"]
    return lines[-1].removeprefix("Error: ").strip()


def _look_by_class(ask: Ask, condition: Asked, begun: Callable[[float | None], None]) -> Outcome:
    """Make an instance of a user's class and ask it; whatever it does, the answer is an outcome."""
    try:
        kind: type[Condition] = load_class(condition.path, Condition, "condition")  # type: ignore[type-abstract]
        made = make(kind, condition.keys, condition.type)
        timeout = None if issubclass(kind, ThreadedCondition) else _seconds(kind, "timeout", 0.001, _LONGEST)
        again = None
        if not issubclass(kind, ThreadedCondition):
            again = _seconds(kind, "poll_interval", _SOONEST, float("inf"))
    except ExtensionError as error:
        return Outcome(what="fails", text=f"{error.message}; {error.hint}" if error.hint else error.message)
    due = parse_time(ask.schedule_time) if ask.schedule_time else None
    run = WaitingRun(run_id=ask.run_id, job_id=ask.job_id, args=dict(ask.args), schedule_time=due)
    begun(timeout)
    try:
        answer: Any = made.check(run)
    except BaseException as error:  # noqa: BLE001  whatever a user's class raises, SystemExit too, is its author's to read
        return Outcome(what="fails", text=f"it raised {told(error)}")
    return _judged(answer, again)


def _judged(answer: Any, again: float | None) -> Outcome:
    """Return what an answer means; one that is none of those that there are is an error."""
    if answer is True:
        return Outcome(what="holds")
    if answer is False:
        return Outcome(what="waits", again=again)
    if isinstance(answer, str):
        return Outcome(what="waits", text=answer[:1000], again=again)
    if hasattr(answer, "close") and hasattr(answer, "send"):
        answer.close()
        return Outcome(
            what="fails", text="`check` is `async` or a generator; write it as a plain function that returns"
        )
    return Outcome(
        what="fails", text=f"`check` returned {shown(answer)}; return True, False, or a text that says what is missing"
    )


def _seconds(kind: type[Condition] | type[PolledCondition], name: str, least: float, most: float) -> float:
    value = getattr(kind, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        limit = f"{least:g} or more" if most == float("inf") else f"{least:g} to {most:g}"
        raise ExtensionError(kind.__name__, f"its `{name}` is {shown(value)}", f"give seconds, {limit}")
    return float(value)
