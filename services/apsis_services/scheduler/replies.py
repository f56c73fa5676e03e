"""Answers to those who asked, cut to what the bus carries: what was done is done, and must not be told as a failure."""

from typing import Any, Final

from msgspec.structs import replace

from apsis.messages.alerts import AlertsNoted
from apsis.messages.body import encode
from apsis.messages.requests import Done
from apsis.runs.core.effects import Reply
from apsis_bus.limits import MAX_FRAME
from apsis_bus.peer import Delivery

#: keys of a run that may be large, and then those without which it is still a run
_LARGE: Final = frozenset({"args", "program", "conditions", "actions"})
_NAMED: Final = frozenset({"run_id", "job_id", "state", "schedule_time"})


def answer(reply: Reply) -> None:
    """Send the answer to a request."""
    delivery: Delivery = reply.token  # type: ignore[assignment]
    if isinstance(reply.body, Done):
        delivery.ok(fitting(reply.body))
    elif isinstance(reply.body, AlertsNoted):
        delivery.ok(reply.body)
    else:
        delivery.no(reply.body.code, reply.body)


def fitting(done: Done) -> Done:
    """Return an answer as it fits into one message: of many runs the large parts go."""
    for keep in (None, lambda key: key not in _LARGE, lambda key: key in _NAMED):
        if keep is not None:
            done = replace(done, result={key: _less(value, keep) for key, value in done.result.items()})
        if len(encode(done)) <= MAX_FRAME:
            return done
    return replace(done, result={"elided": True})


def _less(value: Any, keep: Any) -> Any:
    if isinstance(value, list):
        return [_less(item, keep) for item in value]
    if isinstance(value, dict) and "run_id" in value:
        return {key: inner for key, inner in value.items() if keep(key)} | {"elided": True}
    return value
