"""The manager's process: one thread, one selector; the fleet decides, this does.

It wakes for a signal, a request, the end of a process, or a time that the fleet named; it looks at locks
each 50 ms only while a service is starting. Killed with -9 it loses nothing: the next one adopts.
"""

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from apsis.home import Home
from apsis.times import format_time, parse_time
from apsis_bus.lock import read_lock
from apsis_services.manager import processes
from apsis_services.manager.desk import Desk, Lines, refusal
from apsis_services.manager.endings import live_runs, retire_zygotes, stop_runs
from apsis_services.manager.fleet import MODULES, Action, Fleet, Goal
from apsis_services.manager.member import CANNOT_START, Adopted, Deed, Died, Member, Order, Phase, Ready, Spawned
from apsis_services.manager.notify import Notifier
from apsis_services.manager.orphans import Orphans

log = logging.getLogger("manager")

#: seconds between two looks at what cannot wake us: locks while services start, journals while runs end
_LOOK_EACH: Final = 0.05
#: seconds that a run has by default between its stop signal and KILL, at most
_LONGEST_GRACE: Final = 60.0
#: seconds beyond the grace until a run that does not die is given up
_BEYOND_GRACE: Final = 15.0
#: seconds for the ends of runs to be told and committed before the services are stopped
_FOR_REPORTS: Final = 3.0
_FOR_ZYGOTES: Final = 5.0
_SETTLED: Final = frozenset({Phase.RUNNING, Phase.FAILED, Phase.WAITING})


class Manager:
    """Starts, watches and stops the services of one home, whose manager lock its maker holds."""

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        self.home = home
        self.fleet = Fleet()
        self._held: dict[str, processes.Held] = {}
        self._errors: dict[str, str] = {}
        #: how long each log was when its service was last started
        self._log_starts: dict[str, int] = {}
        self._selector = selectors.DefaultSelector()
        self._notifier = Notifier(environ)
        self._told_ready = False
        self._alive_at = 0.0
        self._over = False
        self._again = False
        self._desk = Desk(home, self._selector, self._answer)
        self._signals = self._hear_signals()

    def run(self) -> bool:
        """Work until told to end; return whether a new manager is to take over at once."""
        self._adopt_all()
        return self._work()

    def end(self, *, kill_runs: bool, longest: float) -> int:
        """Start nothing: stop what outlived its manager, and the runs if told so; return how many runs are left."""
        self.fleet.stop(time.monotonic())
        self._adopt_all()
        self._desk.add(self._stop(kill_runs=kill_runs, longest=longest))
        self._work()
        return len(live_runs(self.home))

    def _work(self) -> bool:
        try:
            while not self._over:
                self._turn()
        finally:
            self._desk.close()
            self._selector.close()
        return self._again

    def _turn(self) -> None:
        self._do(self.fleet.advance(time.monotonic()))
        self._notify()
        for key, _ in self._selector.select(self._until_next()):
            key.data()
        self._look_for_ready()
        self._desk.advance()

    def _until_next(self) -> float | None:
        now = time.monotonic()
        times = [due for due in (self.fleet.next_due(),) if due is not None]
        if self._notifier.every is not None:
            times.append(self._alive_at + self._notifier.every)
        if self._desk.is_busy or any(member.phase is Phase.STARTING for member in self.fleet.members.values()):
            times.append(now + _LOOK_EACH)
        return max(0.0, min(times) - now) if times else None

    # what is heard

    def _hear(self, name: str, fact: Any) -> None:
        before = self.fleet.members[name]
        actions = self.fleet.hear(name, fact, time.monotonic())
        self._tell(before, self.fleet.members[name], fact)
        self._do(actions)

    def _hear_signals(self) -> tuple[socket.socket, socket.socket]:
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: None)
        self._selector.register(reader, selectors.EVENT_READ, lambda: self._on_signal(reader))
        return reader, writer

    def _on_signal(self, reader: socket.socket) -> None:
        for number in reader.recv(64):
            if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                log.info("%s: the services are stopped", signal.Signals(number).name, extra={"event": "told_to_end"})
                self._desk.add(self._stop(kill_runs=False, longest=0))

    def _look_for_ready(self) -> None:
        for name, member in self.fleet.members.items():
            if member.phase is Phase.STARTING and member.pid is not None:
                info = read_lock(self.home.lock(name))
                if info is not None and info.pid == member.pid and info.ready:
                    self._hear(name, Ready())

    def _on_end(self, name: str) -> None:
        held = self._held.pop(name)
        self._selector.unregister(held.pidfd)
        status = held.reap()
        if status == CANNOT_START:
            self._errors[name] = _sentence(processes.last_lines(self.home, held.log_start, name))
        self._hear(name, Died(status))

    # what is done

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            if action.deed is Deed.START:
                self._start(action.name)
            elif action.deed is Deed.ADOPT:
                self._adopt(action.name)
            elif action.name in self._held:
                self._held[action.name].signal(signal.SIGKILL if action.deed is Deed.KILL else signal.SIGTERM)

    def _start(self, name: str) -> None:
        if self._adopt(name):
            return
        try:
            held = processes.start(self.home, name, MODULES[name])
        except OSError as error:
            self._errors[name] = f"{name} cannot be started: {error}"
            self._hear(name, Died(CANNOT_START))
            return
        self._hold(held)
        self._hear(name, Spawned(held.pid))

    def _adopt_all(self) -> None:
        for name in MODULES:
            self._adopt(name)

    def _adopt(self, name: str) -> bool:
        """Watch the process that holds a service's lock, if there is one."""
        if name in self._held:
            return True
        found = processes.find(self.home, name)
        if found is None:
            return False
        held, info = found
        log.info("%s runs already and is adopted", name, extra={"event": "adopted", "pid": held.pid})
        self._hold(held)
        age = (datetime.now(UTC) - parse_time(info.since)).total_seconds()
        self._hear(name, Adopted(held.pid, info.ready, max(0.0, age)))
        return True

    def _hold(self, held: processes.Held) -> None:
        self._held[held.name] = held
        self._log_starts[held.name] = held.log_start
        self._errors.pop(held.name, None)
        self._selector.register(held.pidfd, selectors.EVENT_READ, lambda: self._on_end(held.name))

    # what is asked

    def _answer(self, request: dict[str, Any]) -> Lines:
        match request.get("do"):
            case "status":
                return iter([self.status()])
            case "stop":
                longest = request.get("timeout")
                return self._stop(
                    kill_runs=bool(request.get("kill_runs")),
                    longest=float(longest) if isinstance(longest, int | float) else _LONGEST_GRACE,
                )
            case "restart" if request.get("service") is None:
                return self._restart_all()
            case "restart" if request["service"] in MODULES:
                return self._restart(request["service"])
            case "restart":
                return iter(
                    [refusal("not_found", f"no service {request['service']!r}", "services: " + ", ".join(MODULES))]
                )
            case do:
                return iter(
                    [refusal("bad_request", f"the manager does not know {do!r}", "it knows status, stop, restart")]
                )

    def _restart(self, name: str) -> Lines:
        if self.fleet.goal is Goal.STOP:
            yield refusal("conflict", "the services are being stopped")
            return
        self._hear(name, Order.RESTART)
        yield {"says": f"{name} is restarted"}
        while self.fleet.members[name].phase not in _SETTLED:
            yield None
        yield {"service": self._shown(self.fleet.members[name]), "done": True}

    def _restart_all(self) -> Lines:
        for line in self._stop(kill_runs=False, longest=0, again=True):
            yield line if line is None or "done" not in line else {"says": "starting all of them again", "done": True}

    def _stop(self, *, kill_runs: bool, longest: float, again: bool = False) -> Lines:
        """Stop all services, and with `kill_runs` the runs before them, while their ends can still be written down."""
        self._again = again
        ended: set[str] = set()
        if self.fleet.goal is Goal.RUN and kill_runs:
            yield from self._end_runs(ended, longest, wait_for_reports=True)
        if self.fleet.goal is Goal.RUN:
            self._notifier.say("STOPPING=1")
            self._do(self.fleet.stop(time.monotonic()))
        if not self.fleet.is_down:
            yield {"says": "stopping the services"}
        while not self.fleet.is_down:
            yield None
        if kill_runs:
            yield from self._end_runs(ended, longest, wait_for_reports=False)
            yield from self._end_zygotes()
        left = live_runs(self.home)
        self._over = True
        yield {"says": "stopped", "runs": len(left), "ended": len(ended - left.keys()), "done": True}

    def _end_runs(self, told: set[str], longest: float, *, wait_for_reports: bool) -> Lines:
        """Stop the runs that live now and put them among `told`; one that begins meanwhile is for the second call."""
        names = set(live_runs(self.home))
        if sentence := _stopping(len(names & told), len(names - told), first=wait_for_reports):
            yield {"says": sentence}
        told |= names
        ordered: set[str] = set()
        orphans = Orphans(self.home, longest)
        deadline = time.monotonic() + longest + _BEYOND_GRACE
        while time.monotonic() < deadline:
            live = {name: state for name, state in live_runs(self.home).items() if name in names}
            if not live:
                break
            ordered |= stop_runs(self.home, {name: live[name] for name in live.keys() - ordered}, longest)
            orphans.stop(live, time.monotonic())
            yield None
        committed = time.monotonic() + _FOR_REPORTS
        while wait_for_reports and time.monotonic() < committed and self._unarchived(names):
            yield None

    def _unarchived(self, names: set[str]) -> bool:
        """Say whether the end of one of these runs is not committed yet: then its journal is still in its place."""
        return any((self.home.spool / "journals" / name).exists() for name in names)

    def _end_zygotes(self) -> Lines:
        deadline = time.monotonic() + _FOR_ZYGOTES
        while retire_zygotes(self.home) and time.monotonic() < deadline:
            yield None

    # what is told

    def status(self) -> dict[str, Any]:
        """Return what `apsisctl status -o json` prints."""
        web = read_lock(self.home.lock("web"))
        scheduler = read_lock(self.home.lock("scheduler"))
        return {
            "state": self.fleet.state,
            "home": str(self.home.root),
            "url": web.address if web else None,
            "instance": scheduler.facts.get("instance") if scheduler else None,
            "pid": os.getpid(),
            "services": [self._shown(member) for member in self.fleet.members.values()],
        }

    def _shown(self, member: Member) -> dict[str, Any]:
        age = timedelta(seconds=time.monotonic() - member.since) if member.since else timedelta()
        shown: dict[str, Any] = {
            "name": member.name,
            "pid": member.pid,
            "state": str(member.phase),
            "since": format_time(datetime.now(UTC) - age),
            "restarts": member.restarts,
            "rss": processes.resident_bytes(member.pid) if member.pid else None,
        }
        if member.phase in (Phase.FAILED, Phase.WAITING):
            lines = processes.last_lines(self.home, self._log_starts.get(member.name, 0), member.name)
            shown["error"] = self._errors.get(member.name) or _sentence(lines) or "it ended and said nothing"
            shown["log"] = lines
        return shown

    def _tell(self, before: Member, after: Member, fact: object) -> None:
        if after.phase is before.phase and after.restarts == before.restarts:
            return
        if isinstance(fact, Died) and before.wanted and before.phase is not Phase.STOPPING:
            log.warning(
                "%s ended with status %s and is %s", after.name, fact.status, after.phase,
                extra={"event": "service_died", "service": after.name, "pid": before.pid},
            )  # fmt: skip
        else:
            log.info(
                "%s is %s", after.name, after.phase,
                extra={"event": f"service_{after.phase}", "service": after.name, "pid": after.pid or before.pid},
            )  # fmt: skip

    def _notify(self) -> None:
        if not self._told_ready and all(member.phase in _SETTLED for member in self.fleet.members.values()):
            self._told_ready = True
            self._notifier.say("READY=1", f"STATUS={self.fleet.state}")
        now = time.monotonic()
        if self._notifier.every is not None and now - self._alive_at >= self._notifier.every:
            self._alive_at = now
            self._notifier.say("WATCHDOG=1")


def _stopping(again: int, new: int, *, first: bool) -> str:
    """Say which runs are being stopped; in the second round those that did not end, and those that began meanwhile."""
    words = []
    if again:
        words.append(f"stopping {again} run{'s' * (again != 1)} again that did not end")
    if new:
        words.append(f"stopping {new} run{'s' * (new != 1)}{'' if first else ' that began meanwhile'}")
    return ", ".join(words)


def _sentence(lines: list[str]) -> str:
    """Return the last error among log lines without its time and level, else the last line."""
    marked = [line for line in lines if " ERROR " in line]
    if marked:
        return marked[-1].partition(" ERROR ")[2].partition(" event=")[0].partition(": ")[2]
    return lines[-1].strip() if lines else ""
