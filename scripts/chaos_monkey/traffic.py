"""What people ask for while the storm goes on: runs are submitted, stopped and killed by REST, each once."""

import heapq
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from chaos_monkey.jobs import MERGED, SPLIT, moment
from chaos_monkey.plan import Unit
from chaos_monkey.rest import LITTLE_PATIENCE, PATIENCE, Rest, Unanswered

#: requests on their way at a time; while web is away they pile up here
_THREADS: Final = 12
#: a stop that comes before its run is known to be under way is asked again, so many seconds later
_AGAIN: Final = 0.25


@dataclass(slots=True)
class Asked:
    """What has been asked for, and what was answered."""

    #: number of the unit: its run
    runs: dict[int, str] = field(default_factory=dict)
    #: run: `stop` or `kill`, where that was taken up
    acts: dict[str, str] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)


class Traffic:
    """Asks at the planned times, in threads, from `begin` until all is asked."""

    def __init__(self, rest: Rest, seed: int) -> None:
        self.asked = Asked()
        self._rest = rest
        self._seed = seed
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="ask")
        self._over = threading.Event()
        self._queue: list[tuple[float, int, Unit, str]] = []
        self._lock = threading.Lock()
        self._pending = 0

    def begin(self, units: list[Unit], began: float, began_at: float) -> None:
        """Ask for runs; `began` is the beginning on the monotonic clock, `began_at` in seconds since the epoch."""
        self._began, self._began_at = began, began_at
        for unit in units:
            if unit.how != "scheduled":
                # one for a later time is asked for before that
                early = 2.0 if unit.how == "timed" else 0.0
                self._put(began + max(0.0, unit.at - early), unit, "submit")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> None:
        """Ask for nothing more, and wait for what is on its way."""
        self._over.set()
        self._rest.patience = LITTLE_PATIENCE
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)
        self._rest.patience = PATIENCE

    @property
    def idle(self) -> bool:
        """Whether all is asked and answered."""
        with self._lock:
            return not self._queue and not self._pending

    def _put(self, at: float, unit: Unit, what: str) -> None:
        with self._lock:
            heapq.heappush(self._queue, (at, unit.number, unit, what))

    def _run(self) -> None:
        while not self._over.is_set():
            now = time.monotonic()
            with self._lock:
                due = []
                while self._queue and self._queue[0][0] <= now:
                    due.append(heapq.heappop(self._queue))
                self._pending += len(due)
            for _, _, unit, what in due:
                self._pool.submit(self._ask, unit, what)
            time.sleep(0.005)

    def _ask(self, unit: Unit, what: str) -> None:
        try:
            if what == "submit":
                self._submit(unit)
            else:
                self._act(unit)
        except Unanswered as error:
            self.asked.refusals.append(f"unit {unit.number}: {error}")
        except Exception as error:  # noqa: BLE001 - told in the report, beside what else was found
            self.asked.refusals.append(f"unit {unit.number}: {what} failed: {error!r}")
        finally:
            with self._lock:
                self._pending -= 1

    def _submit(self, unit: Unit) -> None:
        order = {"job_id": SPLIT if unit.split else MERGED, "args": {"plan": unit.words}}
        if unit.how == "timed":
            order["schedule_time"] = moment(self._began_at + unit.at)
        status, answer = self._rest.post("/runs", order, f"chaos-{self._seed}-{unit.number}")
        if status != 201:
            self.asked.refusals.append(f"unit {unit.number}: submitting it was answered with {status}: {answer}")
            return
        self.asked.runs[unit.number] = answer["runs"][0]["run_id"]
        if unit.act:
            self._put(self._began + unit.at + unit.act[1], unit, "act")

    def _act(self, unit: Unit) -> None:
        assert unit.act is not None
        run_id, verb = self.asked.runs[unit.number], unit.act[0]
        status, answer = self._rest.post(f"/runs/{run_id}/{verb}", {}, f"chaos-{self._seed}-{unit.number}-{verb}")
        if status == 200:
            self.asked.acts[run_id] = verb
        elif status != 409:
            self.asked.refusals.append(f"{run_id}: to {verb} it was answered with {status}: {answer}")
        elif "skip it instead" in str(answer):
            # it waits for its place: the same act later is another request
            unit_later = time.monotonic() + _AGAIN
            self._retry_act(unit, run_id, verb, unit_later)

    def _retry_act(self, unit: Unit, run_id: str, verb: str, at: float) -> None:
        """Ask until the run is under way, or has ended without us."""
        number = 0
        while not self._over.is_set() and number < 200:
            number += 1
            time.sleep(max(0.0, at - time.monotonic()))
            at = time.monotonic() + _AGAIN
            key = f"chaos-{self._seed}-{unit.number}-{verb}-{number}"
            status, answer = self._rest.post(f"/runs/{run_id}/{verb}", {}, key)
            if status == 200:
                self.asked.acts[run_id] = verb
            if "skip it instead" not in str(answer):
                return
