"""Waiting: what each condition of a run waits for, and what those it waits for wait for, down to the cause."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from apsis.explaining.answers import DEPTH, SIZE, Because
from apsis.explaining.endings import how_it_ended
from apsis.explaining.holding import holders_of
from apsis.explaining.knows import Knows
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, State
from apsis.times import format_time, parse_time

#: other runs that one reason names
NAMED: Final = 5
_HOLDING: Final = ("starting", "running", "stopping")
_COUNTED: Final = {"max_running", "skip_duplicate"}


class Chain:
    """Goes down from run to run; each is explained once, and no further than an answer may be deep."""

    def __init__(self, knows: Knows, now: datetime) -> None:
        self._knows = knows
        self._now = now
        self._way: list[str] = []
        self._told: set[str] = set()
        self._left = SIZE

    def reasons(self, run: Run) -> list[Because]:
        """Return why a run has not started."""
        self._way.append(run.run_id)
        self._told.add(run.run_id)
        found = self._of_scheduled(run) if run.state is State.SCHEDULED else self._of_waiting(run)
        self._way.pop()
        return found

    def _of_scheduled(self, run: Run) -> list[Because]:
        due = run.not_before or run.schedule_time
        found = []
        if due is not None:
            left = parse_time(due) - self._now
            when = f"in {_span(left.total_seconds())}" if left > timedelta(0) else f"{_span(-left.total_seconds())} ago"
            found.append(Because(kind="time", text=f"it is due at {due}, {when}", at=due))
        if run.reason:
            found.append(Because(kind="reason", text=run.reason))
        return found + self._paused(run)

    def _of_waiting(self, run: Run) -> list[Because]:
        paused = self._paused(run)
        conditions = self._conditions(run)
        found = paused + conditions
        if not any(each.holds is False for each in conditions) and not paused:
            found += self._others(run)
        return found

    def _paused(self, run: Run) -> list[Because]:
        held = self._knows.pause_of(run.job_id)
        if held is None or not (run.expected or run.retry_of):
            return []
        what = f"job {held.job_id}" if held.job_id else "everything"
        hint = (
            f"resume it: apsis resume {held.job_id}".rstrip() + f", or start this run alone: apsis start {run.run_id}"
        )
        return (
            [Because(kind="pause", text=held.text, holds=False, at=held.at, job_id=held.job_id, hint=hint)]
            if what
            else []
        )

    def _conditions(self, run: Run) -> list[Because]:
        passed = self._knows.passed(run.run_id)
        found = []
        blocked = False
        # what is counted comes last, together, whatever its place in the list
        ordered = sorted(enumerate(run.conditions), key=lambda each: each[1].get("type") in _COUNTED)
        for index, condition in ordered:
            counted = condition.get("type") in _COUNTED
            if index < passed and not counted:
                found.append(Because(kind="condition", text=f"{text_of(condition)}: has become true", holds=True))
            elif blocked:
                found.append(
                    Because(kind="condition", text=f"{text_of(condition)}: is looked at when those before it hold")
                )
            else:
                found.append(self._condition(run, condition))
                blocked = found[-1].holds is False and not counted
        return found

    def _condition(self, run: Run, condition: Mapping[str, Any]) -> Because:
        match condition.get("type"):
            case "dependency":
                return self._dependency(condition)
            case "max_running":
                return self._places(run, condition)
            case "const" if condition.get("value"):
                return Because(kind="condition", text="const: true", holds=True)
            case "const":
                hint = f"start it by hand: apsis start {run.run_id}"
                return Because(kind="condition", text="const: false never becomes true", holds=False, hint=hint)
            case _:
                # polled and custom conditions say of themselves what they saw last; that is the reason of the run
                text = f"{text_of(condition)}: {run.reason}" if run.reason else text_of(condition)
                return Because(kind="condition", text=text, holds=False)

    def _dependency(self, condition: Mapping[str, Any]) -> Because:
        job_id, args = str(condition["job_id"]), dict(condition.get("args") or {})
        states = [str(state) for state in condition.get("states") or ["success"]]
        runs = self._knows.with_args(job_id, args, NAMED + 1)
        good = next((each for each in runs if each.state.value in states), None)
        text = text_of(condition)
        if good is not None:
            return Because(kind="condition", text=f"{text}: {good.run_id} is", holds=True, run_id=good.run_id)
        below = [self._run(each) for each in runs[:NAMED]]
        if not runs:
            below = [self._no_run(job_id, args)]
        return Because(kind="condition", text=f"{text}: not yet", holds=False, job_id=job_id, because=below)

    def _no_run(self, job_id: str, args: Mapping[str, str]) -> Because:
        shown = ", ".join(f"{name}={value}" for name, value in args.items())
        what = f"no run of {job_id} with {shown}" if shown else f"no run of {job_id}"
        words = " ".join([job_id, *(f"{name}={value}" for name, value in args.items())])
        hint = f"make it: apsis run {words}"
        if not self._knows.has_job(job_id):
            return Because(
                kind="no_job", text=f"there is no job {job_id}", job_id=job_id, hint="it was removed, or misspelt"
            )
        held = self._knows.pause_of(job_id)
        below = [Because(kind="pause", text=held.text, at=held.at, job_id=held.job_id)] if held else []
        others = self._knows.latest(job_id, 1)
        if others:
            last = others[0]
            with_args = " ".join(f"{name}={value}" for name, value in last.args.items())
            text = f"the latest that has ended is {last.run_id} {with_args}".rstrip() + f", {last.state.value}"
            below.append(Because(kind="run", text=text, run_id=last.run_id))
        return Because(kind="no_run", text=f"there is {what}", job_id=job_id, hint=hint, because=below)

    def _run(self, run: Run) -> Because:
        """Return another run as a reason, with what is behind it."""
        self._left -= 1
        name = f"{run.run_id} of {run.job_id}"
        if run.run_id in self._way:
            circle = " -> ".join([*self._way[self._way.index(run.run_id) :], run.run_id])
            hint = f"start one of them by hand: apsis start {run.run_id}"
            text = f"{name} waits for this one in turn, so none of them ever starts: {circle}"
            return Because(kind="cycle", text=text, run_id=run.run_id, hint=hint)
        if run.state in FINISHED:
            ended = how_it_ended(run, self._knows.log(run.run_id))
            hint = f"run it again: apsis rerun {run.run_id}, or start what waits by hand"
            text = f"{name} has ended in {run.state.value}"
            return Because(kind="run", text=text, run_id=run.run_id, because=ended, hint=hint)
        if run.state.value in _HOLDING:
            return Because(kind="run", text=f"{name} is {self._progress(run)}", run_id=run.run_id)
        text = f"{name} is {run.state.value}"
        if run.run_id in self._told:
            return Because(kind="run", text=f"{text}, see above", run_id=run.run_id)
        if len(self._way) >= DEPTH or self._left <= 0:
            return Because(kind="run", text=text, run_id=run.run_id, hint=f"go on with: apsis why {run.run_id}")
        return Because(kind="run", text=text, run_id=run.run_id, because=self.reasons(run))

    def _progress(self, run: Run) -> str:
        begin = run.timestamps.get("running") or run.timestamps.get("starting")
        if begin is None:
            return run.state.value
        times = self._knows.ended_well(run.job_id, run.args, 10) or self._knows.ended_well(run.job_id, None, 10)
        if not times:
            return f"{run.state.value} since {begin}"
        end = parse_time(begin) + timedelta(seconds=median(times))
        return f"{run.state.value} since {begin}, and will probably end at {format_time(end)}"

    def _places(self, run: Run, condition: Mapping[str, Any]) -> Because:
        job_id, args, count = str(condition["job_id"]), condition.get("args"), int(condition["count"])
        holding = [
            each
            for each in self._knows.unfinished(job_id, _HOLDING, 1_000)
            if each.run_id != run.run_id and (args is None or each.args == args)
        ]
        text = text_of(condition)
        if len(holding) < count:
            return Because(kind="condition", text=f"{text}: {len(holding)} are", holds=True)
        below = [self._run(each) for each in holding[:NAMED]]
        return Because(kind="place", text=f"{text}: {len(holding)} are", holds=False, job_id=job_id, because=below)

    def _others(self, run: Run) -> list[Because]:
        """Return what keeps a run whose conditions hold: resources, its host, a disk, the clock."""
        found = []
        job = self._knows.job(run.job_id)
        for name, wanted in (job.resources if job is not None else {}).items():
            total = self._knows.resources.get(name, 0)
            holders = holders_of(self._knows, name)
            held = sum(count for _, count in holders)
            if held + wanted > total:
                below = [self._run(each) for each, _ in holders[:NAMED]]
                text = f"it needs {wanted} of the resource {name}: {held} of {total} are held"
                found.append(Because(kind="resource", text=text, holds=False, because=below))
        if not found and run.reason:
            found.append(Because(kind=_kind_of(run.reason), text=run.reason, holds=False))
        return found


def text_of(condition: Mapping[str, Any]) -> str:
    """Return a condition as a person reads it."""
    kind = condition.get("type")
    args = condition.get("args") or {}
    shown = f"({', '.join(f'{name}={value}' for name, value in args.items())})" if args else ""
    if kind == "dependency":
        return f"{condition['job_id']}{shown} is {' or '.join(condition.get('states') or ['success'])}"
    if kind == "max_running":
        return f"fewer than {condition['count']} of {condition['job_id']}{shown} running"
    if isinstance(condition.get("text"), str):
        return str(condition["text"])
    rest = ", ".join(f"{key}={value}" for key, value in condition.items() if key != "type" and value is not None)
    return f"{kind} {rest}".rstrip()


def _kind_of(reason: str) -> str:
    words = {"host": "host", "clock": "clock", "disk": "disk", "room": "disk", "paused": "pause"}
    return next((kind for word, kind in words.items() if word in reason), "reason")


def _span(seconds: float) -> str:
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
