"""Acting on runs: one at a time, or many."""

import signal
from typing import Any, Final

import msgspec

from apsis.errors import ApsisError, BadRequest, Conflict
from apsis.filters import parse
from apsis.filters.errors import did_you_mean
from apsis.messages.requests import ActOnRun
from apsis.runs.states import FINISHED
from apsis_web.errors import error_body
from apsis_web.handlers.resource import Resource

ACTIONS: Final = ("start", "skip", "stop", "kill", "signal", "mark", "rerun", "abandon")
#: giving up a run is decided for each one alone
_MANY: Final = tuple(action for action in ACTIONS if action != "abandon")
#: runs that one request may act upon
_BULK_MAX: Final = 1_000


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an action may be told."""

    signal: int | str | None = None
    state: str | None = None
    as_: str = msgspec.field(name="as", default="now")


class Act(Resource):
    """POST /runs/{id}/{action}."""

    async def post(self, run_id: str, action: str) -> None:
        """Do it."""
        self.run_number(run_id)
        done = await self.do(act(run_id, action, self.body(Order)))
        self.send({**done.result, "seq": done.seq})


class Bulk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /runs/bulk: runs by id, or by a filter and how many it is expected to find."""

    action: str
    ids: list[str] | None = None
    q: str | None = None
    expect: int | None = None
    signal: int | str | None = None
    state: str | None = None
    as_: str = msgspec.field(name="as", default="now")


class ActOnMany(Resource):
    """POST /runs/bulk."""

    async def post(self) -> None:
        """Do it to each, and say of each what came of it."""
        bulk = self.body(Bulk)
        if bulk.action == "abandon":
            raise BadRequest("runs are abandoned one at a time", hint="POST /runs/{id}/abandon", loc="action")
        if bulk.action not in _MANY:
            raise BadRequest(f"unknown action {bulk.action!r}", hint=did_you_mean(bulk.action, _MANY), loc="action")
        ids = self._chosen(bulk)
        order = Order(signal=bulk.signal, state=bulk.state, as_=bulk.as_)
        # One key for all, so that each request of a repeated call is known again.
        key = self.idempotency_key
        results, seq = [], self.site.cache.seq
        for run_id in ids:
            try:
                self.run_number(run_id)
                done = await self.site.scheduler.do(
                    act(run_id, bulk.action, order), request_id=f"{key}.{run_id}", actor=self.actor
                )
            except ApsisError as error:
                results.append({"run_id": run_id, "ok": False, **error_body(error, self.request_id)})
            else:
                seq = max(seq, done.seq)
                results.append({"run_id": run_id, "ok": True, **done.result})
        self.send({"results": results, "seq": seq})

    @property
    def actor(self) -> str:
        """Who asks."""
        assert self.caller is not None
        return self.caller.actor

    def _chosen(self, bulk: Bulk) -> list[str]:
        if (bulk.ids is None) == (bulk.q is None):
            raise BadRequest("give either ids, or q and expect", loc="ids")
        if bulk.ids is not None:
            ids = list(dict.fromkeys(bulk.ids))
        else:
            self.site.cache.require()
            view = self.site.cache.view(parse(bulk.q or ""), self.now)
            ids = [f"r{num}" for _, num in view.orders]
            if bulk.expect != len(ids):
                raise Conflict(
                    f"the filter finds {len(ids)} runs, not {bulk.expect}", hint="look at them again", loc="expect"
                )
        if len(ids) > _BULK_MAX:
            raise BadRequest(f"{len(ids)} runs are too many at once; {_BULK_MAX} may be", loc="ids")
        return ids


def act(run_id: str, action: str, order: Order) -> ActOnRun:
    """Return the deed that an order means.

    Raises:
        BadRequest: a field is missing or means nothing.
    """
    if order.as_ not in ("now", "then"):
        raise BadRequest("as is now or then", hint="then: the job as it was; now: as it is today", loc="as")
    state = None
    if action == "mark":
        if order.state not in FINISHED:
            states = sorted(FINISHED)
            raise BadRequest(f"mark needs a finished state: {', '.join(states)}", loc="state")
        state = str(order.state)
    number = _signal(order.signal) if action == "signal" else None
    return ActOnRun(run_id=run_id, action=action, signal=number, state=state, as_=order.as_)


def _signal(given: int | str | None) -> int:
    names: dict[str, Any] = {one.name: one for one in signal.Signals}
    name = given.upper() if isinstance(given, str) else ""
    number = names.get(name) or names.get(f"SIG{name}") or given
    if isinstance(number, str) and number.isdigit():
        number = int(number)
    if not isinstance(number, int) or not 1 <= number <= int(signal.SIGRTMAX):
        hint = did_you_mean(name, [one.removeprefix("SIG") for one in names]) if name else "for example TERM or 15"
        raise BadRequest("signal must be a name or a number", hint=hint, loc="signal")
    return int(number)
