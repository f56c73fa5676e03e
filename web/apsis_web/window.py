"""Windows: a stretch of the runs that match a filter, around an anchor, out of the cache and the database."""

from dataclasses import dataclass
from typing import Final

from apsis.errors import BadRequest, Unavailable
from apsis.filters import Filter
from apsis.times import parse_time, to_micros
from apsis_web.cache import Cache
from apsis_web.database import Database, Found, Order, Stored
from apsis_web.views import View

#: rows of one window at most
ROWS_MAX: Final = 1_000
#: counts remembered
_COUNTS_KEPT: Final = 256
#: numbers of runs below the floor that are named in one count; with more of them a count would be slow
_LEFT_OUT_MAX: Final = 5_000


@dataclass(frozen=True, slots=True)
class Spec:
    """What part is asked for: up to `before` rows before the anchor, and `after` rows from it on."""

    anchor: Order
    before: int
    after: int
    #: where one side has fewer, the other has more
    fill: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """One row of a window: its key, its JSON, and its version in the cache (0: it is from the database)."""

    order: Order
    data: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Window:
    """Rows in order of time, and what lies beyond them."""

    rows: list[Piece]
    #: matching runs earlier than the first row, later than the last
    before: int
    after: int
    total: int
    #: the first and the last key of the window; None: it is open to that side
    low: Order | None
    high: Order | None
    around: "Around"
    seq: int

    @property
    def exact(self) -> bool:
        """Whether old runs were counted too."""
        return self.around.exact


def read_cursor(text: str, name: str) -> Order:
    """Return the key that a cursor or a time means.

    Raises:
        BadRequest: it is neither.
    """
    key, dot, num = text.partition(".")
    if dot and num.isdigit() and key.removeprefix("-").isdigit() and len(text) < 40:
        return int(key), int(num)
    try:
        return to_micros(parse_time(text)), 0
    except (ValueError, OverflowError):
        raise BadRequest(
            f"{name} is neither a cursor nor a time: {text[:80]!r}",
            hint="take a cursor from an answer, or write 2026-06-30T14:32:07Z",
            loc=name,
        ) from None


def write_cursor(order: Order | None) -> str | None:
    """Return a key as text."""
    return None if order is None else f"{order[0]}.{order[1]}"


async def read_window(cache: Cache, database: Database, filter_: Filter, spec: Spec, now: int) -> Window:
    """Return a window at one `seq`.

    Old rows are read first: they do not change, so what the cache says afterwards, in one turn of the loop, fits them.
    """
    older = await _read_older(cache, database, filter_, spec, now)
    before, after = _candidates(cache, cache.view(filter_, now), spec, older)
    taken_before, taken_after = _shares(spec, len(before), len(after))
    rows = before[len(before) - taken_before :] + after[:taken_after]
    first, last = (rows[0].order, rows[-1].order) if rows else (spec.anchor, (spec.anchor[0], spec.anchor[1] - 1))
    around = await look_around(cache, database, filter_, (first, last), now)
    # Awaited since: what is below is one turn of the loop, and rows that changed meanwhile are taken anew.
    view = cache.view(filter_, now)
    rows = [_newest(cache, row) for row in rows if view.contains(row.order) or row.order[1] not in cache.rows]
    before_all = view.position(first) + around.before
    after_all = len(view.orders) - view.position(_following(last)) + around.after
    from_database = sum(1 for row in rows if row.version == 0)
    return Window(
        rows=rows,
        before=before_all,
        after=after_all,
        total=len(view.orders) + (around.total if around.exact else from_database),
        low=first if before_all or not older.exhausted else None,
        high=last if after_all else None,
        around=around,
        seq=cache.seq,
    )


def _following(order: Order) -> Order:
    return order[0], order[1] + 1


def _newest(cache: Cache, piece: Piece) -> Piece:
    row = cache.rows.get(piece.order[1])
    return piece if row is None else Piece(row.order, row.data, row.version)


@dataclass(frozen=True, slots=True)
class Around:
    """Runs of the database alone that lie before and after a window; zeros where that is not known."""

    before: int
    after: int
    #: with those inside of the window
    total: int
    #: False: no index answers
    exact: bool


async def look_around(
    cache: Cache, database: Database, filter_: Filter, ends: tuple[Order | None, Order | None], now: int
) -> Around:
    """Count the runs of the database alone outside of a window, given its first and last key (None: open)."""
    floor = (cache.floor, 0)
    low, high = ends
    total = await count_older(cache, database, filter_, floor, now)
    before = 0 if low is None else await count_older(cache, database, filter_, min(low, floor), now)
    bound = floor if high is None else min(_following(high), floor)
    inside = await count_older(cache, database, filter_, bound, now)
    if total is None or before is None or inside is None:
        return Around(0, 0, 0, exact=False)
    return Around(before, max(0, total - inside), total, exact=True)


@dataclass(frozen=True, slots=True)
class _Older:
    """Rows of the database on both sides of the anchor, each in order of time."""

    before: list[Stored]
    after: list[Stored]
    #: nothing that matches lies before them
    exhausted: bool


async def _read_older(cache: Cache, database: Database, filter_: Filter, spec: Spec, now: int) -> _Older:
    if cache.whole:
        return _Older([], [], exhausted=True)
    limit = spec.before + (spec.after if spec.fill else 0)
    view = cache.view(filter_, now)
    recent = view.position(spec.anchor) - view.position((cache.floor, -1))
    before, after = Found(), Found()
    exhausted = False
    # One more than is needed tells whether there is more; those that the cache has too are left out below.
    extra = 1 + len(cache.below)
    if recent < limit or (limit and recent <= 0):
        before = await database.older(filter_, now, spec.anchor, cache.floor, limit + extra)
        exhausted = before.complete and len(before.rows) < limit + extra
    if spec.anchor[0] < cache.floor:
        limit = spec.after + (spec.before if spec.fill else 0)
        after = await database.between(filter_, now, spec.anchor, cache.floor, limit + extra)
    return _Older(before.rows[::-1], after.rows, exhausted)


def _candidates(cache: Cache, view: View, spec: Spec, older: _Older) -> tuple[list[Piece], list[Piece]]:
    """Return all rows that may belong to the window, before the anchor and from it on."""
    middle = view.position(spec.anchor)
    most = spec.before + spec.after
    kept_before = view.orders[max(0, middle - most) : middle]
    kept_after = view.orders[middle : middle + most]
    return (
        _merge(cache, kept_before, older.before)[-most:] if most else [],
        _merge(cache, kept_after, older.after)[:most],
    )


def _merge(cache: Cache, orders: list[Order], stored: list[Stored]) -> list[Piece]:
    rows = cache.rows
    pieces = [Piece(order, rows[order[1]].data, rows[order[1]].version) for order in orders]
    old = [Piece(one.order, one.doc, 0) for one in stored if one.order[1] not in rows]
    if not old:
        return pieces
    return sorted(pieces + old, key=lambda piece: piece.order)


def _shares(spec: Spec, before: int, after: int) -> tuple[int, int]:
    """Return how many rows come from each side."""
    if not spec.fill:
        return min(before, spec.before), min(after, spec.after)
    return (
        min(before, spec.before + max(0, spec.after - after)),
        min(after, spec.after + max(0, spec.before - before)),
    )


async def count_older(cache: Cache, database: Database, filter_: Filter, bound: Order, now: int) -> int | None:
    """Return how many runs of the database alone match before a key; None where no index answers in time."""
    if cache.whole:
        return 0
    if not filter_.exact or len(cache.below) > _LEFT_OUT_MAX:
        return None
    key = (filter_.text, cache.floor_version, bound) if not filter_.relative else None
    if key is not None and key in cache.older_counts:
        return cache.older_counts[key]
    try:
        count = await database.count(filter_, now, bound, sorted(cache.below))
    except Unavailable:
        # A total is a courtesy: the rows are worth more than an error about their number.
        return None
    if key is not None:
        if len(cache.older_counts) > _COUNTS_KEPT:
            cache.older_counts.clear()
        cache.older_counts[key] = count
    return count


def anchor_of(text: str, now: int) -> Order:
    """Return the key that `now`, a time or a cursor means.

    Raises:
        BadRequest: it is none of them.
    """
    if text in ("", "now"):
        return now, 0
    return read_cursor(text, "anchor")
