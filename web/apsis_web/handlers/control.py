"""Control: the state of the services, restarting and shutting down, by way of the manager."""

import asyncio
from typing import Any, Final

import msgspec

from apsis import manager_socket
from apsis.errors import BadRequest
from apsis.messages.requests import ArchiveRuns, FreePages
from apsis_web.handlers.resource import Resource

_SERVICES: Final = ("hub", "scheduler", "supervisor", "store", "web", "alerts")
#: seconds; a restart answers step by step, and web itself may be one of the steps
_TIMEOUT: Final = 10.0
#: runs that one request archives at most; the scheduler goes on between two
_ARCHIVE_AT_ONCE: Final = 200
_CENTURY: Final = 100 * 365 * 86_400.0


class RestartOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/restart: one service, or null for all."""

    service: str | None = None


class ShutdownOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/shutdown."""

    kill_runs: bool = False


class ArchiveOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/archive: runs that ended `age` seconds ago or longer, `count` at most, into the file `path`."""

    path: str
    age: float
    count: int = 200


class VacuumOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/vacuum: give free pages of the database back to the disk."""

    pages: int = 2000


class RetentionOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/retention."""


class ControlStatus(Resource):
    """GET /control/status."""

    async def get(self) -> None:
        """Return what the manager says of the services."""
        self.arguments_of()
        self.send(await asyncio.to_thread(manager_socket.status, self.site.home))


class _Order(Resource):
    write_role = "admin"

    async def order(self, request: dict[str, Any]) -> None:
        """Hand an order to the manager and answer as soon as it has begun: web may be ended by it."""

        def first_line() -> dict[str, Any]:
            lines = manager_socket.follow(self.site.home, request, _TIMEOUT)
            return next(lines, {})

        self.send({"accepted": True, **await asyncio.to_thread(first_line)}, 202)


class Restart(_Order):
    """POST /control/restart."""

    async def post(self) -> None:
        """Restart one service, or all of them."""
        order = self.body(RestartOrder)
        if order.service is not None and order.service not in _SERVICES:
            raise BadRequest(f"unknown service {order.service!r}", hint=f"known: {', '.join(_SERVICES)}", loc="service")
        await self.order({"do": "restart", "service": order.service})


class Shutdown(_Order):
    """POST /control/shutdown: the services end; programs run on unless `kill_runs`."""

    async def post(self) -> None:
        """Stop all services."""
        await self.order({"do": "stop", "kill_runs": self.body(ShutdownOrder).kill_runs})


class Archive(Resource):
    """POST /control/archive."""

    write_role = "admin"

    async def post(self) -> None:
        """Move some old runs into the archive; `more` says whether there are others."""
        order = self.body(ArchiveOrder)
        if not 1 <= order.count <= _ARCHIVE_AT_ONCE:
            raise BadRequest(f"count is {order.count}; from 1 to {_ARCHIVE_AT_ONCE} go at once", loc="count")
        if not 0 <= order.age <= _CENTURY:
            raise BadRequest(f"age is {order.age}; give seconds, from 0 on", loc="age")
        if not order.path or "\0" in order.path:
            raise BadRequest("path is empty; name a file", loc="path")
        done = await self.do(ArchiveRuns(path=order.path, age=order.age, count=order.count))
        self.send({**done.result, "seq": done.seq})


class Vacuum(Resource):
    """POST /control/vacuum."""

    write_role = "admin"

    async def post(self) -> None:
        """Give some pages back; `left` says how many are still free."""
        order = self.body(VacuumOrder)
        if order.pages < 1:
            raise BadRequest(f"pages is {order.pages}; give a number from 1 on", loc="pages")
        self.send((await self.do(FreePages(pages=order.pages))).result)


class Retention(Resource):
    """POST /control/retention."""

    write_role = "admin"

    async def post(self) -> None:
        """Remove some of the outputs that are no longer kept; `more` says whether there may be others."""
        self.body(RetentionOrder)
        swept = await self.site.store.sweep()
        self.send({"removed": swept.removed, "more": swept.more})
