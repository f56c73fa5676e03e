"""`scripts/chaos`: the plan of a seed, the storm, and the judgement."""

import argparse
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from apsis_services.supervisor.zygote.identity import read_stat, signal_verified
from chaos_monkey import checks, report
from chaos_monkey.evidence import meet, progress, read_database, read_journals
from chaos_monkey.jobs import submitted, write_schedules
from chaos_monkey.killer import Killer, make_failpoints
from chaos_monkey.ledger import Ledger
from chaos_monkey.plan import LONG, SERVICES, Plan, make_plan
from chaos_monkey.rest import Rest
from chaos_monkey.targets import Targets
from chaos_monkey.traffic import Traffic
from chaos_monkey.verdict import Fault
from harness.installation import HarnessError, Installation
from harness.integrity import NotWhole, database_is_whole

#: seconds from the last planned moment until every run must have ended
SETTLE: Final = 90.0
#: seconds between the making of the plan's job files and its beginning
_LEAD: Final = 2.0
_POINT: Final = re.compile(r'\breach\(\s*"([^"]+)"')
_OURS: Final = Path(__file__).parents[2]


def points() -> list[str]:
    """Return the failpoints that the sources name, of the processes that take part."""
    found = set()
    for folder in ("apsis", "bus", "services", "web"):
        for path in (_OURS / folder).rglob("*.py"):
            found.update(_POINT.findall(path.read_text()))
    return sorted(name for name in found if name.partition(".")[0] in {*SERVICES, "shim"})


class Storm:
    """One installation, from its start to the judgement."""

    def __init__(self, plan: Plan, work: Path) -> None:
        self.plan = plan
        self.work = work
        self.failpoints = make_failpoints(work / "failpoints")
        self.ledger = Ledger(work / "ledger")
        self.installation = Installation(
            submitted(self.ledger.path), home=work / "home", environment=self.failpoints.environment
        )
        self.database = work / "home" / "db" / "apsis.db"
        self.targets = Targets(work / "home", self.ledger)
        self.killer = Killer(self.installation, self.targets, self.failpoints, plan.seed)
        self.judged = checks.Judgement()
        self.began_at = 0.0

    def run(self) -> bool:
        """Go through all of it; returns whether every promise was kept."""
        first = time.monotonic()
        try:
            with self.installation:
                self.rest = Rest(self.installation.url, self.installation.home / "token")
                self.traffic = Traffic(self.rest, self.plan.seed)
                self._rage()
                self._look()
            self._look_at_what_is_left()
        finally:
            self._end_what_is_left()
        report.table(self.plan, self.judged, self.killer, self.rest.repeated, time.monotonic() - first)
        if self.judged.faults:
            report.faults(self.judged, self.killer, self.installation.home, self.database, self.began_at)
        return not self.judged.faults

    def _rage(self) -> None:
        """Let the runs flow and deal the blows, until all has ended or too much time has passed."""
        plan = self.plan
        began_at = self.began_at = self._schedule()
        self.until = began_at + plan.seconds + LONG[1] + SETTLE
        began = time.monotonic() + began_at - time.time()
        self.traffic.begin(plan.units, began, began_at)
        self.killer.begin(plan.blows, began)
        try:
            self._watch(began)
        finally:
            self.killer.finish()
            self.traffic.finish()
        if self.killer.broken is not None:
            raise self.killer.broken

    def _schedule(self) -> float:
        """Have the schedules loaded before anything is hit; returns when the plan begins."""
        units = [unit for unit in self.plan.units if unit.how == "scheduled"]
        began = time.time() + _LEAD + len(units) / 50
        write_schedules(self.installation.home / "jobs", self.ledger.path, units, began)
        status, answer = self.rest.post("/jobs/reload", {}, "chaos-reload")
        if status != 200 or answer["errors"] or time.time() > began:
            raise HarnessError(f"the schedules were not loaded in time: {status} {answer}")
        return began

    def _watch(self, began: float) -> None:
        runs = len(self.plan.units)
        deadline = began + self.plan.seconds + LONG[1] + SETTLE
        said = -1
        while time.monotonic() < deadline and self.killer.broken is None:
            now = time.monotonic() - began
            ended, unended = progress(self.database, self.until)
            if now >= self.plan.seconds and not unended and self.traffic.idle and self.killer.idle:
                break
            if int(now) != said:
                said = int(now)
                report.progress(now, ended, runs, self.killer.done)
            time.sleep(0.2)
        report.progress(
            time.monotonic() - began, progress(self.database, self.until)[0], runs, self.killer.done, last=True
        )

    def _look(self) -> None:
        """Judge the runs, with all services up."""
        self.killer.bring_back(60)
        self.ledger.read()
        database = read_database(self.database, self.until)
        journals = read_journals(self.installation.home / "spool")
        met = meet(journals, database.runs, self.killer.hits)
        self.judged = checks.Checker(self.rest, database, self.ledger, met, self.traffic.asked).judge(self.plan.units)
        self.judged.faults += [*checks.revisions(database), *checks.unsettled(journals)]
        if not any(fault.kind == "unfinished" for fault in self.judged.faults):
            living = [pid for notes in self.ledger.notes.values() for pid in (*notes.pids, *notes.daemons)]
            home = {identity.pid for identity in self.targets.everybody(self.work)}
            self.judged.faults += checks.left_processes(sorted(home.intersection(living)), "after every run has ended")

    def _look_at_what_is_left(self) -> None:
        """Judge what must hold once all is stopped."""
        deadline = time.monotonic() + 5
        while self.targets.everybody(self.work) and time.monotonic() < deadline:
            time.sleep(0.1)
        pids = [identity.pid for identity in self.targets.everybody(self.work)]
        self.judged.faults += checks.left_processes(pids, "after apsisctl stop --kill-runs")
        self.judged.faults += checks.logs(self.installation.home / "log")
        try:
            database_is_whole(self.installation.home)
        except NotWhole as error:
            self.judged.faults.append(Fault("other", "", str(error)))

    def _end_what_is_left(self) -> None:
        """Whatever was found: leave no process behind."""
        for identity in self.targets.everybody(self.work):
            stat = read_stat(identity.pid)
            if stat is not None and stat.identity == identity:
                signal_verified(*identity, signal.SIGKILL)


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(
        prog="chaos", description="Kill the processes of a real installation at random, and check that nothing is lost."
    )
    parser.add_argument("--runs", type=int, default=300, metavar="N", help="runs in all (300)")
    parser.add_argument("--kills", type=int, default=None, metavar="K", help="blows in all (a tenth of the runs)")
    parser.add_argument("--seed", type=int, default=None, metavar="S", help="from which the plan follows (random)")
    parser.add_argument("--for", dest="seconds", type=float, default=None, metavar="SECONDS", help="over how long")
    parser.add_argument(
        "--at", metavar="POINT,...", help="kill at these points of the code alone, e.g. scheduler.decided"
    )
    parser.add_argument("--keep", action="store_true", help="leave the home where it is, also if all is well")
    return parser.parse_args()


def _again(asked: argparse.Namespace, kills: int, seed: int) -> str:
    words = f"--runs {asked.runs} --kills {kills} --seed {seed}"
    words += f" --for {asked.seconds:g}" if asked.seconds is not None else ""
    return words + (f" --at {asked.at}" if asked.at else "")


def main() -> int:
    """Run one storm."""
    asked = arguments()
    seed = asked.seed if asked.seed is not None else secrets.randbelow(1_000_000)
    kills = asked.kills if asked.kills is not None else asked.runs // 10
    if asked.runs < 1 or kills < 0 or (asked.seconds is not None and asked.seconds <= 0):
        sys.exit("chaos: --runs and --for must be above 0, --kills not below")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("chaos: told to end"))  # not without tidying up
    known = points()
    chosen = asked.at.split(",") if asked.at else known
    for name, _, verb in (point.partition("=") for point in chosen):
        if name not in known:
            sys.exit(f"chaos: there is no point {name}; there are: {', '.join(known)}")
        if verb not in ("", "kill", "stop", "sleep"):
            sys.exit(f"chaos: {verb} at {name} is none of kill, stop, sleep")
    cores = os.cpu_count() or 1
    plan = make_plan(asked.runs, kills, seed, asked.seconds, chosen, cores, points_alone=bool(asked.at))
    work = Path(tempfile.mkdtemp(prefix="apsis-chaos-"))
    storm = Storm(plan, work)
    report.say(f"{asked.runs} runs and {kills} blows over {plan.seconds:.0f} s, seed {seed}, in {work}")
    storm.installation.keep = True
    well = False
    try:
        well = storm.run()
    finally:
        if well and not asked.keep:
            shutil.rmtree(work, ignore_errors=True)
        else:
            report.say(f"\nkept: {work} (home/log, home/db, ledger)")
    report.say(
        "all is well"
        if well
        else f"NOT WELL; again with: scripts/chaos --runs {asked.runs} --kills {kills} --seed {seed}"
    )
    return 0 if well else 1


sys.exit(main())
