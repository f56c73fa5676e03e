"""Control: the state of the services, restarting and shutting down, by way of the manager."""

import asyncio
from typing import Any, Final

import msgspec

from apsis import manager_socket
from apsis.errors import BadRequest
from apsis_web.handlers.resource import Resource

_SERVICES: Final = ("hub", "scheduler", "supervisor", "store", "web")
#: seconds; a restart answers step by step, and web itself may be one of the steps
_TIMEOUT: Final = 10.0


class RestartOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/restart: one service, or null for all."""

    service: str | None = None


class ShutdownOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /control/shutdown."""

    kill_runs: bool = False


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
