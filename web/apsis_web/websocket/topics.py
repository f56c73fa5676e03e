"""The subscriptions `run`, `output`, `jobs` and `health`."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from apsis.errors import NotFound, Unavailable
from apsis.filters import parse_jobs
from apsis.messages.outputs import LiveOutput
from apsis.runs.run import LogEntry
from apsis.runs.states import FINISHED
from apsis_web.asking import Gone, Place
from apsis_web.handlers.runs import read_log
from apsis_web.places import place_of
from apsis_web.rows import number_of
from apsis_web.site import Site
from apsis_web.websocket.subscription import Past, Subscription

#: seconds between two looks at the health, and at an output of which nothing is heard
_HEALTH_EVERY: Final = 5.0
_OUTPUT_EVERY: Final = 5.0
_OUTPUT_PAUSE: Final = 1.0


class RunSubscription(Subscription):
    """Tells one run, and its action log line by line."""

    can_go_on = True

    def __init__(self, sub_id: int, site: Site, wake: Callable[[], None], run_id: str) -> None:
        super().__init__(sub_id, site, wake)
        num = number_of(run_id)
        if num is None:
            raise NotFound(f"{run_id[:80]!r} is no run id", hint="run ids look like r123")
        self._run_id, self._num = run_id, num
        self._past: Past | None = None
        self._version = -1
        self._seen = -1

    def resume(self, past: Past) -> None:
        """Go on from what the client has, if that can be."""
        self._past = past

    def wanted(self) -> bool:
        """Look whether this run has changed."""
        self.forget_if_reloaded()
        return self.seq < 0 or self._seen != self.site.cache.version

    async def frames(self, now: int) -> list[bytes]:
        """Return a snapshot, or the run and its new lines."""
        frames = []
        if self._past is not None:
            past, self._past = self._past, None
            self.reset = self.resumable(past)
            if self.reset is None:
                self.seq = past.seq
                frames.append(self.frame("resumed", **{"from": past.seq}))
        frame = await (self._snapshot() if self.seq < 0 else self._delta())
        return frames if frame is None else [*frames, frame]

    async def _snapshot(self) -> bytes:
        cache = self.site.cache
        log = await read_log(self.site.database, self._num)
        stored = None if self._num in cache.rows else await self.site.database.run(self._num)
        # From here on in one turn: the log is cut, or filled up, to the very event at which the cache is.
        row = cache.rows.get(self._num)
        if row is None and stored is None:
            raise NotFound(f"no run {self._run_id}", hint="it never was, or was removed by retention")
        lines = [entry for entry in log if entry.seq <= cache.seq]
        lines += self._news(max((entry.seq for entry in lines), default=0))[0]
        extra = {"reset": self.reset} if self.reset else {}
        self.reset = None
        self.seq, self._seen = cache.seq, cache.version
        self._version = row.version if row is not None else -1
        data = row.data if row is not None else stored.doc if stored is not None else b"null"
        return self.frame("snap", **extra, seq=self.seq, run=msgspec.Raw(data), log=lines)

    async def _delta(self) -> bytes | None:
        cache = self.site.cache
        lines, whole = self._news(self.seq)
        if not whole:
            # These were read from the database at the start, without their bodies.
            lines = await read_log(self.site.database, self._num, self.seq)
            lines = [entry for entry in lines if entry.seq <= cache.seq]
        row = cache.rows.get(self._num)
        version = row.version if row is not None else -1
        since, self._seen = self.seq, cache.version
        if not lines and version == self._version:
            return None
        self._version, self.seq = version, cache.seq
        data = b"null" if row is None else row.data
        return self.frame("delta", **{"from": since}, seq=self.seq, run=msgspec.Raw(data), log=lines)

    def _news(self, since: int) -> tuple[list[LogEntry], bool]:
        """Return the lines after an event that the ring remembers, and whether none of them lacks its text."""
        changes = [change for change in self.site.cache.changes.since(since) if change.num == self._num]
        entries = [change.entry for change in reversed(changes)]
        lines = [msgspec.json.decode(entry, type=LogEntry) for entry in entries if entry is not None]
        return lines, None not in entries


class OutputSubscription(Subscription):
    """Tells how long a run's streams are; the bytes are pulled."""

    def __init__(self, sub_id: int, site: Site, wake: Callable[[], None], run_id: str) -> None:
        super().__init__(sub_id, site, wake)
        num = number_of(run_id)
        if num is None:
            raise NotFound(f"{run_id[:80]!r} is no run id", hint="run ids look like r123")
        self._run_id, self._num = run_id, num
        self._streams: dict[str, tuple[int, bool]] = {}
        self._told: dict[str, tuple[int, bool]] | None = None
        self._missing = False
        self._known = False
        self._place: Place | None = None
        self.run_beside(self._look())

    def close(self) -> None:
        """Listen no longer."""
        super().close()
        if self._place is not None:
            self.site.outputs.unlisten(self._place, self._grew)

    def wanted(self) -> bool:
        """Look whether a length has changed."""
        return self._missing or (self._known and self._streams != self._told)

    async def frames(self, now: int) -> list[bytes]:
        """Return the lengths."""
        if self._missing:
            raise NotFound(f"no run {self._run_id}", hint="it never was, or was removed by retention")
        self._told = dict(self._streams)
        streams = {name: {"length": length, "complete": done} for name, (length, done) in self._told.items()}
        return [self.frame("out", streams=streams)]

    def _grew(self, output: LiveOutput) -> None:
        self._put(output.stream, output.length, output.complete)
        self.wake()

    def _put(self, stream: str, length: int, complete: bool) -> None:
        known, done = self._streams.get(stream, (0, False))
        # Words may overtake each other, and a length never shrinks.
        self._streams[stream] = (max(known, length), done or complete)

    async def _look(self) -> None:
        """Ask the store at the start, and now and then until all is complete: a word of growth may be lost."""
        while True:
            pause = _OUTPUT_EVERY
            try:
                state, place = await self._state()
                if self._place is None:
                    self._place = place
                    self.site.outputs.listen(place, self._grew)
                streams = await self.site.store.stat(place)
            except Unavailable:
                pause = _OUTPUT_PAUSE
            except Gone:
                self._known = True
                self.wake()
                return
            else:
                for name, stat in streams.items():
                    self._put(name, stat.length, stat.complete)
                self._known = True
                self.wake()
                if state is None:
                    self._missing = True
                    return
                if state in FINISHED and all(done for _, done in self._streams.values()):
                    return
            await asyncio.sleep(pause)

    async def _state(self) -> tuple[str | None, Place]:
        """Return the run's state, None if there is no such run, and where the store has its output."""
        journal = self.site.cache.journal
        row = self.site.cache.rows.get(self._num)
        if row is not None:
            return row.state, place_of(row.data, self._run_id, journal)
        stored = await self.site.database.run(self._num)
        if stored is None:
            return None, Place(journal, self._run_id)
        return str(msgspec.json.decode(stored.doc)["state"]), place_of(stored.doc, self._run_id, journal)


class JobsSubscription(Subscription):
    """Tells the jobs that match, and the errors of the job files."""

    #: a row changes with each run that starts, so this is told less often
    interval = 1.0

    def __init__(self, sub_id: int, site: Site, wake: Callable[[], None], q: str) -> None:
        super().__init__(sub_id, site, wake)
        self._filter = parse_jobs(q)
        self._sent: dict[str, bytes] = {}
        self._errors = b""
        self._seen = -1
        self._past: Past | None = None

    def resume(self, past: Past) -> None:
        """Jobs are few: what a client has is not looked at, and all are told as a snapshot."""
        self._past = past

    def wanted(self) -> bool:
        """Look whether a job has changed."""
        self.forget_if_reloaded()
        return self.seq < 0 or self._seen != self.site.cache.jobs_version

    async def frames(self, now: int) -> list[bytes]:
        """Return a snapshot, or the jobs that changed."""
        cache = self.site.cache
        if self._past is not None:
            self.reset = self.resumable(self._past) or "history"
            self._past = None
        jobs = self.site.jobs.matching(self._filter)
        since, first = self.seq, self.seq < 0
        changed = [msgspec.Raw(data) for job_id, data in jobs.items() if self._sent.get(job_id) != data or first]
        gone = [] if first else [job_id for job_id in self._sent if job_id not in jobs]
        same_errors = self._errors == cache.job_errors
        self._sent, self._errors, self._seen = dict(jobs), cache.job_errors, cache.jobs_version
        if not first and not changed and not gone and same_errors:
            return []
        self.seq = cache.seq
        errors = msgspec.Raw(cache.job_errors)
        if first:
            extra = {"reset": self.reset} if self.reset else {}
            self.reset = None
            return [self.frame("snap", **extra, seq=self.seq, rows=changed, errors=errors)]
        return [self.frame("delta", **{"from": since}, seq=self.seq, rows=changed, gone=gone, errors=errors)]


class HealthSubscription(Subscription):
    """Tells the health when it changes."""

    def __init__(self, sub_id: int, site: Site, wake: Callable[[], None]) -> None:
        super().__init__(sub_id, site, wake)
        self._health: dict[str, Any] | None = None
        self._told: Any = None
        self.run_beside(self._look())

    def wanted(self) -> bool:
        """Look whether a check has changed."""
        return self._health is not None and _essence(self._health) != self._told

    async def frames(self, now: int) -> list[bytes]:
        """Return the health."""
        if self._health is None:
            return []
        since, first = self.seq, self.seq < 0
        self._told = _essence(self._health)
        self.seq = self.site.cache.seq
        extra = {} if first else {"from": since}
        return [self.frame("snap" if first else "delta", **extra, seq=self.seq, health=self._health)]

    async def _look(self) -> None:
        while True:
            self._health = await self.site.health.look()
            self.wake()
            await asyncio.sleep(_HEALTH_EVERY)


def _essence(health: dict[str, Any]) -> Any:
    """Return what of a health makes it another one: not the resident size of a service, nor a count of seconds."""
    return (
        health["status"],
        [(check["id"], check["status"]) for check in health["checks"]],
        [(one.get("name"), one.get("pid"), one.get("state")) for one in health["services"]],
    )
