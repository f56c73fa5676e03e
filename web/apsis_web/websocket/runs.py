"""The subscription `runs`: a window of the runs that match a filter."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from apsis.errors import BadRequest
from apsis.filters import parse
from apsis_web.database import Order
from apsis_web.site import Site
from apsis_web.views import STALE, View
from apsis_web.websocket.protocol import WindowOrder
from apsis_web.websocket.subscription import Past, Subscription
from apsis_web.window import (
    ROWS_MAX,
    Around,
    Piece,
    Spec,
    Window,
    anchor_of,
    look_around,
    read_cursor,
    read_window,
    write_cursor,
)

Range = tuple[str | None, str | None]
#: a window is cut anew when it holds more than this many times what was asked for, and more than so many rows
_GROWTH: Final = 2
_SMALL: Final = 50


class RunsSubscription(Subscription):
    """Tells a window's rows, then what changes in it."""

    can_go_on = True

    def __init__(self, sub_id: int, site: Site, wake: Callable[[], None], q: str, window: WindowOrder) -> None:
        super().__init__(sub_id, site, wake)
        self._filter = parse(q)
        self._order = _checked(window)
        self._past: Past | None = None
        self._past_range: Range | None = None
        #: number of each row that the client has: its version, 0 for one of the database
        self._sent: dict[int, int] = {}
        self._low: Order | None = None
        self._high: Order | None = None
        self._around = Around(0, 0, 0, exact=True)
        #: nothing was told since the client came back
        self._resumed = False
        self._told: dict[str, Any] = {}
        self._seen: tuple[int, int] = (-1, -1)
        self._floor_version = -1
        site.cache.watch(self._filter)

    def close(self) -> None:
        """Let the view of the filter go."""
        super().close()
        self.site.cache.unwatch(self._filter)

    def move(self, window: WindowOrder) -> None:
        """Look at another stretch; a snapshot of it follows.

        Raises:
            BadRequest: there is no such window.
        """
        self._order = _checked(window)
        self.seq = -1
        self.not_before = 0.0

    def resume(self, past: Past, ends: Range | None) -> None:
        """Go on from what the client has, if that can be."""
        self._past, self._past_range = past, ends

    def next_look(self) -> float | None:
        """A filter that depends on the time is looked at now and then."""
        return STALE / 1e6 if self._filter.relative else None

    def wanted(self) -> bool:
        """Look whether the cache has moved on."""
        self.forget_if_reloaded()
        cache = self.site.cache
        return self.seq < 0 or self._seen != (cache.seq, cache.version) or self._filter.relative

    async def frames(self, now: int) -> list[bytes]:
        """Return a snapshot, or what changed."""
        frames = []
        if self._past is not None:
            past, self._past = self._past, None
            self.reset = self.resumable(past) or self._why_not()
            if self.reset is None:
                self._take_up(past, now)
                frames.append(self.frame("resumed", **{"from": past.seq}))
        frame = await (self._snapshot(now) if self.seq < 0 else self._delta(now))
        return frames if frame is None else [*frames, frame]

    async def _read(self, now: int) -> Window:
        anchor = anchor_of(self._order.anchor, now)
        spec = Spec(anchor, self._order.before, self._order.after)
        window = await read_window(self.site.cache, self.site.database, self._filter, spec, now)
        self._low, self._high, self._around = window.low, window.high, window.around
        self._floor_version = self.site.cache.floor_version
        return window

    async def _snapshot(self, now: int) -> bytes:
        window = await self._read(now)
        extra = {"reset": self.reset} if self.reset else {}
        self.reset = None
        self._sent = {row.order[1]: row.version for row in window.rows}
        self.seq = window.seq
        self._told = self._facts(now)
        return self.frame("snap", **extra, seq=self.seq, rows=self._ordered(window.rows), **self._told)

    def _why_not(self) -> str | None:
        """Return why what the client has cannot be known."""
        if self._filter.relative:
            return "filter"
        return "window" if self._past_range is None else None

    def _take_up(self, past: Past, now: int) -> None:
        """Put in what a client has that saw everything up to a `seq`."""
        self.seq = past.seq
        self._resumed = True
        self._floor_version = -1
        ends = self._past_range or (None, None)
        self._low, self._high = (None if end is None else read_cursor(end, "range") for end in ends)
        view = self.site.cache.view(self._filter, now)
        rows = self.site.cache.rows
        self._sent = {
            num: rows[num].version for _, num in view.orders[self._part(view)] if rows[num].seq <= past.seq
        }  # fmt: skip

    async def _delta(self, now: int) -> bytes | None:
        cache = self.site.cache
        if self._floor_version != cache.floor_version:
            self._floor_version = cache.floor_version
            self._around = await look_around(cache, self.site.database, self._filter, (self._low, self._high), now)
        view = cache.view(self._filter, now)
        part = self._part(view)
        cut = part.stop - part.start > max(_SMALL, _GROWTH * (self._order.before + self._order.after))
        if cut:
            rows = (await self._read(now)).rows
        else:
            rows = [
                Piece(order, cache.rows[order[1]].data, cache.rows[order[1]].version) for order in view.orders[part]
            ]
        # From here on in one turn of the loop.
        changed = [row for row in rows if self._sent.get(row.order[1]) != row.version]
        inside = {row.order[1]: row.version for row in rows}
        gone = self._gone(inside, cut=cut)
        kept = {} if cut else {num: 0 for num, version in self._sent.items() if version == 0 and num not in gone}
        since, self.seq = self.seq, cache.seq
        self._sent = kept | inside
        self._seen = (cache.seq, cache.version)
        self._resumed = False
        facts = self._facts(now)
        if not changed and not gone and facts == self._told:
            # Nothing is told, and so the client's seq stays.
            self.seq = since
            return None
        self._told = facts
        ids = [f"r{num}" for num in sorted(gone)]
        return self.frame("delta", **{"from": since}, seq=self.seq, rows=self._ordered(changed), gone=ids, **facts)

    def _gone(self, inside: dict[int, int], *, cut: bool) -> set[int]:
        """Return the numbers of rows that the client may have and is to drop."""
        cache = self.site.cache
        if cut:
            gone = set(self._sent)
            if self._resumed:
                # Of what has changed while the client was away nobody knows whether the client has it.
                gone |= {change.num for change in cache.changes.since(self.seq) if change.num is not None}
            return gone - set(inside)
        gone = set()
        for change in cache.changes.since(self.seq):
            num = change.num
            if num is None or num in inside or num in gone:
                continue
            row = cache.rows.get(num)
            # Of a run that was withdrawn while the client was away nobody knows whether the client has it.
            if num in self._sent or (self._resumed if row is None else self._covers(row.order)):
                gone.add(num)
        if self._filter.relative:
            gone |= {num for num in self._sent if num not in inside and num in cache.rows}
        return gone

    def _covers(self, order: Order) -> bool:
        return (self._low is None or self._low <= order) and (self._high is None or order <= self._high)

    def _part(self, view: View) -> slice:
        """Return which keys of the view belong to the window."""
        start = 0 if self._low is None else view.position(self._low)
        stop = len(view.orders) if self._high is None else view.position((self._high[0], self._high[1] + 1))
        return slice(start, max(start, stop))

    def _facts(self, now: int) -> dict[str, Any]:
        """Return what stands beside the rows."""
        cache = self.site.cache
        view = cache.view(self._filter, now)
        part = self._part(view)
        static = sum(1 for version in self._sent.values() if version == 0)
        return {
            "total": len(view.orders) + (self._around.total if self._around.exact else static),
            "exact": self._around.exact,
            "before": part.start + self._around.before,
            "after": len(view.orders) - part.stop + self._around.after,
            "range": [write_cursor(self._low), write_cursor(self._high)],
            "counts": cache.counts(now),
        }

    def _ordered(self, rows: list[Piece]) -> list[msgspec.Raw]:
        found = [msgspec.Raw(row.data) for row in rows]
        return found[::-1] if self._order.order == "desc" else found


def _checked(window: WindowOrder) -> WindowOrder:
    if window.order not in ("asc", "desc"):
        raise BadRequest(f"order is asc or desc, not {window.order[:80]!r}", loc="window.order")
    if window.before < 0 or window.after < 0 or window.before + window.after > ROWS_MAX:
        raise BadRequest(f"before and after are at least 0, and together at most {ROWS_MAX}", loc="window")
    anchor_of(window.anchor, 0)
    return window
