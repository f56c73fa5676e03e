"""When samples are taken and who gets them. The library that takes them is loaded when a run first lasts."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from apsis.messages.live import LiveHost
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.figures.roots import Root
from apsis_services.supervisor.figures.series import SeriesBook
from apsis_services.supervisor.watching.watch import Watch
from apsis_services.supervisor.zygote.identity import Identity
from apsis_services.supervisor.zygote.stamps import stamp_now

if TYPE_CHECKING:
    from apsis_services.supervisor.figures.samples import Sampler

#: seconds between two samples; longer, where sampling would take more than `SHARE` of the time
INTERVAL = 2.0
SHARE = 0.01


class Figures:
    """Samples what runs; sleeps while nothing does."""

    def __init__(self, host: str, watch: Watch, series: SeriesBook, publish: Callable[[bytes], None]) -> None:
        self._host = host
        self._watch = watch
        self._series = series
        self._publish = publish
        self._sampler: Sampler | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """A program has started."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._take)

    def close(self) -> None:
        """Take no more."""
        if self._timer is not None:
            self._timer.cancel()

    def report(self, run_id: str | None) -> LiveHost:
        """Return the last figures, of one run or of all."""
        if self._sampler is None:
            return LiveHost(host=self._host, at=stamp_now(), runs=[])
        keys = [key for key in self._sampler.last if key.run_id == run_id]
        if run_id is not None and not keys:
            return LiveHost(host=self._host, at=stamp_now(), runs=[])
        return self._sampler.report(stamp_now(), keys[0] if keys else None)

    def _take(self) -> None:
        self._timer = None
        roots = self._roots()
        if not roots and self._sampler is None:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self._sampler is None:
            from apsis_services.supervisor.figures.samples import Sampler

            self._sampler = Sampler(self._host)
        self._sampler.take(roots)
        at = stamp_now()
        for body in self._sampler.bodies(at):
            self._publish(body)
        self._series.write(at, {root.key: _age(root) for root in roots}, self._sampler.last)
        if roots:
            cost = loop.time() - began
            self._timer = loop.call_later(max(INTERVAL, cost / SHARE), self._take)

    def _roots(self) -> list[Root]:
        found = []
        for key, watched in self._watch.runs.items():
            state = watched.state
            if state.phase == "started" and state.pid and state.ticks and state.claim:
                shim = None if state.adopted else Identity(state.claim["pid"], state.claim["ticks"])
                found.append(Root(Key(*key), Identity(state.pid, state.ticks), shim))
        return found


def _age(root: Root) -> float:
    """Return for how many seconds a program has run, by the kernel's own clock: nothing need be remembered."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - root.program.ticks / os.sysconf("SC_CLK_TCK"))
