"""Sanity checks of the records, made now and then by a process of its own while somebody looks at health."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from apsis.errors import ApsisError
from apsis.explaining.sanity import Finding
from apsis.times import format_time
from apsis_web.explaining import questions as ask
from apsis_web.explaining.asking import Explainer

log = logging.getLogger("web")

#: seconds between two examinations that nobody asked for; and at least so many times what the last one took
_EVERY: Final = 60.0
_SHARE: Final = 100.0


class _Examined(msgspec.Struct, frozen=True):
    findings: list[Finding]


class Sanity:
    """Knows what the last examination found, and since when each finding stands."""

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer
        self._task: asyncio.Task[None] | None = None
        self._since: dict[tuple[str, str], str] = {}
        self._ended = 0.0
        self.findings: list[Finding] = []
        #: when the last examination was made, how long it took (s), and why it failed
        self.at: str | None = None
        self.took = 0.0
        self.failed = ""

    def refresh(self) -> None:
        """Begin an examination where the last one is old."""
        if self.at is None or time.monotonic() - self._ended > max(_EVERY, self.took * _SHARE):
            self._start()

    async def now(self) -> None:
        """Make an examination and wait for it; one that is under way serves."""
        await asyncio.shield(self._start())

    async def close(self) -> None:
        """End an examination that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def summary(self) -> dict[str, Any]:
        """Return when it was examined, and how long that took."""
        return {"at": self.at, "took": round(self.took, 3), "failed": self.failed}

    def _start(self) -> "asyncio.Task[None]":
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._examine(), name="sanity")
        return self._task

    async def _examine(self) -> None:
        begin = time.monotonic()
        try:
            said = await self._explainer.ask(ask.Examine())
        except ApsisError as error:
            log.warning("the sanity checks could not be made: %s", error.message, extra={"event": "not_examined"})
            self.failed = error.message
        else:
            self.failed = ""
            self._take(msgspec.json.decode(said, type=_Examined).findings)
        self._ended = time.monotonic()
        self.took = self._ended - begin
        self.at = format_time(datetime.now(UTC))

    def _take(self, findings: list[Finding]) -> None:
        now = format_time(datetime.now(UTC))
        self._since = {key: self._since.get(key, now) for key in ((each.id, each.subject) for each in findings)}
        self.findings = [
            msgspec.structs.replace(each, since=each.since or self._since[each.id, each.subject]) for each in findings
        ]
