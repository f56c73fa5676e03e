"""Alerts: how their delivery goes, dead letters and trying them again, and a test."""

import msgspec

from apsis.messages.alerts import AlertsState, TestAlert
from apsis_web.handlers.resource import Resource

#: dead letters that one answer lists
_LETTERS = 200


class AlertsReport(Resource):
    """GET /alerts."""

    async def get(self) -> None:
        """Return `{waiting, dead, oldest, problems, letters}`."""
        self.arguments_of()
        state: AlertsState = await self.site.alerts.state(_LETTERS)
        self.send({field: getattr(state, field) for field in state.__struct_fields__})


class RetryOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /alerts/retry: dead letters by their event ids; none: all of them."""

    event_ids: list[str] = []


class Retry(Resource):
    """POST /alerts/retry."""

    async def post(self) -> None:
        """Have dead letters tried again; return how many."""
        self.send({"count": await self.site.alerts.retry(self.body(RetryOrder).event_ids)}, 202)


class TestOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /alerts/test: an address of mail, or the place of an action in the config, from 0."""

    to: str = ""
    index: int = 0

    __test__ = False


class Test(Resource):
    """POST /alerts/test."""

    write_role = "admin"
    __test__ = False

    async def post(self) -> None:
        """Send a test alert, once, and return what came of it."""
        order = self.body(TestOrder)
        tested = await self.site.alerts.test(TestAlert(to=order.to, index=order.index))
        self.send({field: getattr(tested, field) for field in tested.__struct_fields__})
