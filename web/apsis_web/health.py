"""Sanity: checks of what web can see, each with an id, a status and a sentence that says what to do."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from apsis import manager_socket
from apsis.config import Disk
from apsis.errors import ApsisError
from apsis.home import Home
from apsis.messages.body import decode
from apsis.messages.events import Heartbeat
from apsis.times import format_time
from apsis_bus import topics
from apsis_bus.lock import read_lock
from apsis_bus.peer import Peer, Published
from apsis_web.asking import AlertsAsk, HostAsk, Place, ServiceAway, StoreAsk
from apsis_web.cache import Cache
from apsis_web.database import Database, DatabaseAway, TookTooLong
from apsis_web.disks import look_at_disks
from apsis_web.explaining.sanity import Sanity
from apsis_web.jobs import state_of_files

#: seconds without a heartbeat after which the scheduler is said to be silent, and to be away
_SILENT: Final = 12.0
_AWAY: Final = 30.0
_SEVERITY: Final = ("ok", "warn", "fail")
_MANAGER_TIMEOUT: Final = 2.0
#: the host of this machine's supervisor
HERE: Final = "local"
#: seconds in which a host must answer
_HOST_TIMEOUT: Final = 2.0
#: seconds for which one look serves all who ask
_FRESH: Final = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found: `ok`, `warn` or `fail`, and a sentence."""

    id: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Asks:
    """Whom health asks whether they answer."""

    store: StoreAsk
    hosts: HostAsk
    alerts: AlertsAsk


class Health:
    """Looks, and remembers since when each check is as it is."""

    def __init__(  # each is asked for its part
        self, home: Home, peer: Peer, cache: Cache, database: Database, asks: Asks, disk: Disk, sanity: Sanity
    ) -> None:
        self._home = home
        self._disk = disk
        self._peer = peer
        self._cache = cache
        self._database = database
        self._store = asks.store
        self._hosts = asks.hosts
        self._alerts = asks.alerts
        self._sanity = sanity
        self._since: dict[str, tuple[str, str]] = {}
        self._heard: float | None = None
        #: what the scheduler said last of what keeps it from its work
        self._problems: list[str] = []
        self._warnings: list[str] = []
        self._began = time.monotonic()
        self._last: tuple[float, dict[str, Any]] | None = None
        self._looking: asyncio.Task[dict[str, Any]] | None = None
        peer.subscribe(topics.HEARTBEAT, self._on_heartbeat)

    def _on_heartbeat(self, published: Published) -> None:
        beat: Heartbeat = decode(Heartbeat, published.body)
        if beat.head >= 0:
            self._heard = time.monotonic()
            self._problems, self._warnings = beat.problems, beat.warnings

    async def look(self) -> dict[str, Any]:
        """Return `{status, checks, services}`; all who ask within a second get the same look."""
        if self._last is not None and time.monotonic() - self._last[0] < _FRESH:
            return self._last[1]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        # Shielded: one who hangs up must not break off the look of the others.
        return await asyncio.shield(self._looking)

    async def examine(self) -> dict[str, Any]:
        """Return a look with the findings of an examination that is made for it."""
        await self._sanity.now()
        self._last = None
        return await self.look()

    async def _look(self) -> dict[str, Any]:
        if self._cache.loaded:
            self._sanity.refresh()
        manager, database, store, host, alerts = await asyncio.gather(
            self._manager(), self._read_database(), self._ask_store(), self._ask_host(), self._ask_alerts()
        )
        services, manager_check = manager
        checks = [
            self._hub(),
            self._scheduler(services),
            database,
            store,
            alerts,
            *hosts(services, self._home),
            *host,
            manager_check,
            *_services(services),
            *self._disks(),
            self._job_files(),
        ]
        now = format_time(datetime.now(UTC))
        health = {
            "status": max((check.status for check in checks), key=_SEVERITY.index),
            "checks": [self._dated(check, now) for check in checks],
            "services": services,
            "findings": [*self._found(checks), *msgspec.to_builtins(self._sanity.findings)],
            "examined": self._sanity.summary(),
        }
        self._last = (time.monotonic(), health)
        return health

    def _dated(self, check: Check, now: str) -> dict[str, str]:
        status, since = self._since.get(check.id, ("", now))
        if status != check.status:
            since = now
        self._since[check.id] = (check.status, since)
        return {"id": check.id, "status": check.status, "message": check.message, "since": since}

    def _found(self, checks: list[Check]) -> list[dict[str, str]]:
        """Return the checks that are not well in the form of findings."""
        return [
            {
                "id": check.id,
                "severity": "error" if check.status == "fail" else "warning",
                "subject": check.id,
                "text": check.message,
                "hint": "",
                "since": self._since[check.id][1],
            }
            for check in checks
            if check.status != "ok"
        ]

    async def _ask_host(self) -> list[Check]:
        """Return a check where the supervisor of this machine does not answer, though its process may be there."""
        if not self._peer.connected or await self._hosts.answers(HERE, _HOST_TIMEOUT):
            return []
        words = "does not answer; nothing is started there, and no end is told, until it does"
        return [Check(f"host-{HERE}", "fail", f"the supervisor of host {HERE} {words}")]

    def _hub(self) -> Check:
        if self._peer.connected:
            return Check("hub", "ok", "connected")
        return Check("hub", "fail", "there is no connection to the hub; what is shown may be old")

    def _disks(self) -> list[Check]:
        home = self._home
        places = {
            "home": home.root, "database": self._database.path.parent, "spool": home.spool, "output": home.output,
        }  # fmt: skip
        return [Check(one.id, one.status, one.message) for one in look_at_disks(places, self._disk)]

    def _scheduler(self, services: list[dict[str, Any]]) -> Check:
        now = time.monotonic()
        silence = now - (self._heard if self._heard is not None else self._began)
        if self._heard is not None and silence < _SILENT and self._problems:
            return Check("scheduler", "fail", "; ".join(self._problems))
        if self._heard is not None and silence < _SILENT and self._warnings:
            return Check("scheduler", "warn", "; ".join(self._warnings))
        if self._heard is not None and silence < _SILENT:
            return Check("scheduler", "ok", "its heart beats")
        refusal = next((one.get("error") for one in services if one.get("name") == "scheduler"), None)
        if refusal:
            return Check("scheduler", "fail", f"it cannot start: {refusal}")
        if silence < (_SILENT if self._heard is None else _AWAY):
            return Check("scheduler", "warn", f"not heard for {silence:.0f} s")
        return Check("scheduler", "fail", f"not heard for {silence:.0f} s; nothing is started meanwhile")

    async def _read_database(self) -> Check:
        try:
            meta = await self._database.meta()
        except (DatabaseAway, TookTooLong) as error:
            return Check("database", "fail", error.message)
        if not self._cache.loaded:
            return Check("database", "warn", self._cache.reason)
        behind = meta.head - self._cache.seq
        if meta.journal == self._cache.journal and behind > 0 and not self._peer.connected:
            return Check("database", "warn", f"{behind} changes have not been heard of yet")
        return Check("database", "ok", "readable")

    async def _ask_store(self) -> Check:
        if not self._peer.connected:
            return Check("store", "warn", "cannot be asked without the hub")
        try:
            await self._store.stat(Place(self._cache.journal, "r0"))
        except ServiceAway:
            return Check("store", "fail", "away; outputs are kept by the supervisors and come later")
        except ApsisError as error:
            return Check("store", "warn", error.message)
        return Check("store", "ok", "answers")

    async def _ask_alerts(self) -> Check:
        if not self._peer.connected:
            return Check("alerts", "warn", "cannot be asked without the hub")
        try:
            state = await self._alerts.state()
        except ApsisError:
            return Check("alerts", "warn", "away; what is to be told waits, and is told when it is back")
        if state.problems:
            return Check("alerts", "fail", "; ".join(state.problems))
        if state.dead:
            words = f"{state.dead} could not be delivered and are given up"
            return Check("alerts", "warn", f"{words}: see `apsisctl alerts list`, then `apsisctl alerts retry`")
        return Check("alerts", "ok", f"{state.waiting} wait to be delivered" if state.waiting else "all are delivered")

    async def _manager(self) -> tuple[list[dict[str, Any]], Check]:
        try:
            status = await asyncio.to_thread(manager_socket.status, self._home, _MANAGER_TIMEOUT)
        except (ApsisError, OSError) as error:
            return [], Check("manager", "warn", f"{error}; crashed services are not restarted")
        return list(status.get("services", [])), Check("manager", "ok", "watches the services")

    def _job_files(self) -> Check:
        return Check("jobs", *state_of_files(self._cache))


def hosts(services: list[dict[str, Any]], home: Home) -> list[Check]:
    """Return a check for each supervisor that the manager knows of."""
    found = [str(one["name"]) for one in services if str(one.get("name", "")).startswith("supervisor")]
    states = {str(one.get("name")): one.get("state") for one in services}
    return [_host(name, states[name], home) for name in found]


def _host(name: str, state: object, home: Home) -> Check:
    if state not in _GOOD:
        return Check(name, "fail", f"{state}; nothing is started on this host meanwhile")
    lock = read_lock(home.lock(name))
    if lock is not None and lock.facts.get("holes") == "no":
        words = "the file system of the spool cannot give back parts of files: large outputs take their disk twice"
        return Check(
            name, "warn", f"{words} until their runs have ended; put {home.spool} on ext4, xfs, btrfs or tmpfs"
        )
    return Check(name, "ok", "runs")


_GOOD: Final = frozenset({"running", "ready", "up"})


def _services(services: list[dict[str, Any]]) -> list[Check]:
    """Return a check for each service that does not run, and is not checked by itself."""
    own = ("scheduler", "store", "hub", "supervisor")
    return [
        Check(f"service-{one['name']}", "fail", f"{one['name']} is {one.get('state')}: {one.get('error', '')}".strip())
        for one in services
        if one.get("state") not in _GOOD and not str(one.get("name", "")).startswith(own)
    ]
