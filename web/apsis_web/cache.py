"""The cache: what is known of runs and jobs at one event, kept as encoded JSON with a small index.

It holds every run that is not finished and the finished ones from `floor` on; what is older stays in the
database. Nothing here waits or talks: the feed loads it and hands it events.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from apsis.errors import Unavailable
from apsis.filters import Filter
from apsis.messages.body import encode
from apsis.messages.events import Event, JobEvent, RunEvent, SysEvent
from apsis.runs.run import LogEntry
from apsis.runs.states import State
from apsis_web.changes import Change, Changes
from apsis_web.database import Loaded, Order, Stored
from apsis_web.rows import Row, number_of, row_of_run, row_of_stored
from apsis_web.views import View

#: finished runs kept at most
FINISHED_KEPT: Final = 20_000
#: views that nobody watches, kept for the next request
_VIEWS_KEPT: Final = 16
DAY: Final = 86_400_000_000
#: microseconds after which "the last 24 h" of the counts is moved on
_RECOUNT: Final = 60_000_000


class NotLoaded(Unavailable):
    """The state has not been read yet."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not ready yet: {reason}", hint="try again in a second; `apsisctl status` shows the services")


class Cache:
    """Runs and jobs as of event `seq` of one journal."""

    def __init__(self) -> None:
        self.loaded = False
        #: why it is not loaded, for a person
        self.reason = "the state is being read"
        self.journal = 0
        self.seq = 0
        #: counts loads: another number means that everything may differ
        self.generation = 0
        #: finished runs before this time (µs) are in the database alone
        self.floor = 0
        #: there are none before it
        self.whole = True
        self.rows: dict[int, Row] = {}
        #: runs that are here although they lie below the floor
        self.below: set[int] = set()
        #: grows when another set of runs is to be sought in the database
        self.floor_version = 0
        #: (filter, floor_version, bound): runs found there; kept by the windows
        self.older_counts: dict[tuple[str, int, Order], int] = {}
        self.jobs: dict[str, bytes] = {}
        self.job_errors = b"[]"
        #: grows with each change of a job, of the error list, or of what is scheduled
        self.jobs_version = 0
        self.changes = Changes()
        self.version = 0
        #: called after each group of changes
        self.listeners: set[Callable[[], None]] = set()
        self._views: OrderedDict[str, View] = OrderedDict()
        self._watched: Counter[str] = Counter()
        self._counts: Counter[State] = Counter()
        self._counted_from = 0
        self._counted_at = 0

    @property
    def instance(self) -> str:
        """The journal, in hex: another one is another history."""
        return f"{self.journal:016x}"

    def require(self) -> None:
        """Raise NotLoaded if there is no state to answer from."""
        if not self.loaded:
            raise NotLoaded(self.reason)

    def load(self, loaded: Loaded, now: int) -> None:
        """Begin anew from what the database holds."""
        self.version += 1
        self.generation += 1
        self.journal, self.seq = loaded.meta.journal, loaded.meta.head
        self.floor, self.whole = loaded.floor, loaded.whole
        self.changes = Changes.of_events(self.seq, loaded.changes)
        last_change = {change.num: change.seq for change in reversed(list(self.changes.since(0)))}
        self.rows = {
            stored.order[1]: row_of_stored(stored, last_change.get(stored.order[1], 0), self.version)
            for stored in loaded.runs
        }
        self.below = {row.num for row in self.rows.values() if row.order[0] < self.floor}
        self.floor_version += 1
        self.jobs = dict(loaded.jobs)
        self.job_errors = loaded.meta.job_errors
        self.jobs_version += 1
        for text in [text for text in self._views if not self._watched[text]]:
            del self._views[text]
        for view in self._views.values():
            view.build(self.rows.values(), now)
            view.version += 1
        self._recount(now)
        self.loaded = True
        self._tell()

    def apply(self, events: Iterable[Event], now: int) -> None:
        """Take events in order; each id is greater than `seq`."""
        for event in events:
            if event.id <= self.seq:
                continue
            self.seq = event.id
            if isinstance(event, RunEvent):
                self._apply_run(event, now)
            elif isinstance(event, JobEvent):
                self._apply_job(event, now)
            elif event.kind == "archived":
                self._apply_archived(event, now)
            else:
                self.changes.add(Change(event.id))
        self._tell()

    def _apply_run(self, event: RunEvent, now: int) -> None:
        num = number_of(event.run_id)
        entry = LogEntry(
            seq=event.id, at=event.at, actor=event.actor, event=event.event, old=event.old, reason=event.reason
        )
        self.changes.add(Change(event.id, num=num, entry=encode(entry)))
        if num is None:
            return
        self.version += 1
        if event.run is not None:
            self._put(row_of_run(event.run, event.id, self.version), now)
        elif event.event == "withdrawn":
            self._remove(num, now)

    def _apply_archived(self, event: SysEvent, now: int) -> None:
        """Let go of runs that are no longer in the database."""
        self.version += 1
        # those that are only there were counted, and are sought anew
        self.floor_version += 1
        for run_id in event.detail.get("runs", []):
            num = number_of(run_id)
            self.changes.add(Change(event.id, num=num))
            if num is not None:
                self._remove(num, now)

    def _apply_job(self, event: JobEvent, now: int) -> None:
        self.changes.add(Change(event.id, job_id=event.job_id))
        self.jobs_version += 1
        for num in filter(None, map(number_of, event.withdrawn)):
            self.changes.add(Change(event.id, num=num))
            self.version += 1
            self._remove(num, now)
        if event.job is None:
            self.jobs.pop(event.job_id, None)
        else:
            self.jobs[event.job_id] = encode(event.job)

    def _put(self, row: Row, now: int) -> None:
        old = self.rows.get(row.num)
        self.rows[row.num] = row
        if row.order[0] < self.floor and row.num not in self.below:
            self.below.add(row.num)
            self.floor_version += 1
        self._changed(old, row, now)

    def _remove(self, num: int, now: int) -> None:
        old = self.rows.pop(num, None)
        self.below.discard(num)
        if old is not None:
            self._changed(old, None, now)

    def _changed(self, old: Row | None, new: Row | None, now: int) -> None:
        facts = new.facts() if new is not None and self._views else None
        for view in self._views.values():
            view.change(old, new, facts, now)
        if State.SCHEDULED in (old and old.state, new and new.state):
            self.jobs_version += 1
        for row, sign in ((old, -1), (new, 1)):
            if row is not None and self._counts_for(row):
                self._counts[row.state] += sign

    def replace(self, stored: Stored, now: int) -> None:
        """Put in the whole of a run whose event was too large for the bus; the newest event wins."""
        old = self.rows.get(stored.order[1])
        if old is None:
            return
        self.version += 1
        self._put(row_of_stored(stored, old.seq, self.version), now)
        self._tell()

    def set_job_errors(self, errors: bytes) -> None:
        """Put in what the last load of the job files complained of."""
        if errors != self.job_errors:
            self.job_errors = errors
            self.jobs_version += 1
            self._tell()

    def view(self, filter_: Filter, now: int) -> View:
        """Return the view of a filter, up to date."""
        view = self._views.get(filter_.text)
        if view is None:
            view = self._views[filter_.text] = View(filter_)
            view.build(self.rows.values(), now)
            self._forget_views()
        self._views.move_to_end(filter_.text)
        view.refresh(self.rows.values(), now)
        return view

    def watch(self, filter_: Filter) -> None:
        """Keep the view of a filter until `unwatch`."""
        self._watched[filter_.text] += 1

    def unwatch(self, filter_: Filter) -> None:
        """Let the view of a filter go when it is old."""
        self._watched[filter_.text] -= 1
        if self._watched[filter_.text] <= 0:
            del self._watched[filter_.text]
        self._forget_views()

    def _forget_views(self) -> None:
        idle = [text for text in self._views if not self._watched[text]]
        for text in idle[: max(0, len(idle) - _VIEWS_KEPT)]:
            del self._views[text]

    def counts(self, now: int) -> dict[str, int]:
        """Return runs by state, among those not finished and those of the last 24 h."""
        if now - self._counted_at > _RECOUNT:
            self._recount(now)
        return {str(state): count for state, count in self._counts.items() if count}

    def _recount(self, now: int) -> None:
        self._counted_at, self._counted_from = now, now - DAY
        self._counts = Counter(row.state for row in self.rows.values() if self._counts_for(row))

    def _counts_for(self, row: Row) -> bool:
        return not row.finished or row.order[0] >= self._counted_from

    def trim(self, floor: int) -> None:
        """Let finished runs go that lie before `floor` (µs), or that are too many; the database has them."""
        finished = sorted(row.order for row in self.rows.values() if row.finished)
        if len(finished) > FINISHED_KEPT:
            floor = max(floor, finished[-FINISHED_KEPT][0])
        gone = {num for key, num in finished if key < floor}
        self.floor = max(self.floor, floor)
        if not gone:
            return
        self.whole = False
        for num in gone:
            row = self.rows.pop(num)
            for view in self._views.values():
                view.change(row, None, None, 0)
            if self._counts_for(row):
                self._counts[row.state] -= 1
        self.below = {row.num for row in self.rows.values() if row.order[0] < self.floor}
        self.floor_version += 1

    def next_of_jobs(self) -> dict[str, Order]:
        """Return the earliest scheduled run of each job that has one."""
        found: dict[str, Order] = {}
        for row in self.rows.values():
            if row.state is State.SCHEDULED and (row.job_id not in found or row.order < found[row.job_id]):
                found[row.job_id] = row.order
        return found

    def _tell(self) -> None:
        for listener in list(self.listeners):
            listener()
