"""What the tests of a restored database share: a world whose tables are put back, and a host that knows better."""

import copy
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from runs_stage import BEGIN, SHELL, SimHost, World

from apsis.messages.dispatch import Counted, Finished, Held, HostHello, Inventory, Known, Reports
from apsis.messages.events import SysEvent
from apsis.runs.core.inputs import Began, HostSaid
from apsis.runs.run import Exit, Usage
from apsis.times import format_time

OLD = 1
LATER = format_time(BEGIN + timedelta(seconds=30))
JOBS: dict[str, dict[str, Any]] = {
    "work": {"program": SHELL, "params": ["word"]},
    "chain": {"program": SHELL, "successors": ["after"]},
    "after": {"program": SHELL},
    "timer": {"program": SHELL, "schedule": {"type": "interval", "interval": 60}},
    "picky": {"program": {**SHELL, "success_exit_codes": [3]}},
}


class Restored(World):
    """A world whose tables are put back, and a host that knows what came after."""

    def __init__(self) -> None:
        super().__init__()
        self.wired = False
        self.load(JOBS)
        self.seq = 0
        self.epoch = "e1"

    def backup(self) -> Any:
        return copy.deepcopy(self.tables)

    def restore(self, backup: Any) -> None:
        self.tables = backup
        self.begin()
        self.step(Began())
        self.load(self.jobs)

    def crash_without_hosts(self) -> None:
        """Kill the scheduler and start it; the host has not said HELLO yet."""
        self.begin()
        self.step(Began())
        self.load(self.jobs)

    def greet(self, *known: Known, acked: int = 0, **fields: Any) -> None:
        """Have the host say HELLO."""
        self.seq = max(self.seq, acked)
        fields = {"epoch": self.epoch, "boot": "b1", "cores": 4, **fields}
        hello = HostHello(host="local", seq=self.seq, acked=acked, floor=0, version="1", known=list(known), **fields)
        self.hosts["local"] = self.hosts.get("local") or SimHost("local")
        self.step(HostSaid(hello))

    def report(self, *reports: Any) -> None:
        """Have the host report."""
        for report in reports:
            self.seq += 1
            numbered = replace(report, seq=self.seq)
            self.step(HostSaid(Reports(host="local", epoch=self.epoch, boot="b1", items=[numbered])))

    def orders(self, kind: Any) -> list[Any]:
        """Return the open commands of a kind."""
        return [row.command for _, row in sorted(self.tables.commands.items()) if isinstance(row.command, kind)]

    def tell(self, *runs: Held) -> None:
        """Have the host answer the open inventory."""
        (inventory,) = self.orders(Inventory)
        self.report(*runs, Counted(seq=0, dispatch=inventory.dispatch, count=len(runs)))

    def kinds(self) -> list[str]:
        return [event.kind for event in self.tables.events if isinstance(event, SysEvent)]


def ending(run_id: str, code: int = 0) -> Finished:
    return Finished(
        seq=0, run_id=run_id, start=LATER, end=LATER, elapsed=2.5, exit=Exit(code=code), rusage=Usage(utime=0.5),
        outputs={"output": 7},
    )  # fmt: skip


def held(run_id: str, job_id: str = "work", state: str = "done", **fields: Any) -> Held:
    if state == "done":
        fields.setdefault("ending", ending(run_id))
        fields.setdefault("told", True)
    args = {"word": "x"} if job_id == "work" else {}
    given: dict[str, Any] = {"schedule_time": None, "args": args, "journal": OLD, "at": LATER, "start": LATER}
    return Held(seq=0, run_id=run_id, job_id=job_id, state=state, **given | fields)


NEWER = Known(journal=OLD, term=9)
