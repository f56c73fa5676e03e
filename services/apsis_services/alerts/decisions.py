"""What is to be told of events: decided here, with no clock, no socket and no table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from apsis.actions.when import When, read_when
from apsis.messages.events import Event, JobEvent, RunEvent
from apsis.runs.run import Run
from apsis.runs.states import FINISHED, State
from apsis_services.alerts.letters import Letter, facts_of, target_of

#: what a schedule fills in: another day is no other series
_FILLED_IN: Final = frozenset({"time", "date", "daytime", "calendar", "tz", "sched_date", "schedule_time"})
_BAD: Final = frozenset({State.FAILURE, State.ERROR})

#: (job id, series): the runs of a job whose args are the same, but for those that a schedule fills in
Series = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended."""

    run: Run
    #: names the end for ever: (number of the database, number of the event, or what stands for it)
    name: str
    at: str


@dataclass(slots=True)
class Decision:
    """What one batch of events leads to; all of it is one transaction."""

    letters: list[Letter] = field(default_factory=list)
    #: series: whether its last run has ended badly
    failing: dict[Series, bool] = field(default_factory=dict)
    #: jobs that are no more
    removed: list[str] = field(default_factory=list)


class Decider:
    """Holds ends against the actions of their runs, and those that the config has for all."""

    def __init__(self, everywhere: Sequence[dict[str, Any]], url: Callable[[], str]) -> None:
        """Take the config's actions, as `to_json` gives them; `url` says where people reach the page."""
        self._everywhere = [(f"g{index}", action) for index, action in enumerate(everywhere) if _is_ours(action)]
        self._url = url

    def decide(self, ends: Sequence[Ended | str], is_failing: Callable[[Series], bool]) -> Decision:
        """Return what is to be told of these ends, in order; a text is the id of a job that was removed.

        `is_failing` says what is known of a series from before.
        """
        decision = Decision()
        for end in ends:
            if isinstance(end, str):
                decision.removed.append(end)
                continue
            series = series_of(end.run)
            known = decision.failing.get(series)
            was_bad = is_failing(series) if known is None and end.run.job_id not in decision.removed else bool(known)
            self._tell(decision, end, was_bad)
            if end.run.state is not State.SKIPPED and was_bad != (end.run.state in _BAD):
                decision.failing[series] = end.run.state in _BAD
        return decision

    def _tell(self, decision: Decision, end: Ended, was_bad: bool) -> None:
        run = end.run
        own = [(str(index), action) for index, action in enumerate(run.actions) if _is_ours(action)]
        for index, action in (*own, *self._everywhere):
            when: When = read_when(action.get("if", {}))
            if when.holds(
                run.state,
                exit_code=run.exit.code if run.exit else None,
                late="late" in run.raised,
                previous=State.FAILURE if was_bad else State.SUCCESS,
            ):
                decision.letters.append(self._letter(end, index, action))

    def _letter(self, end: Ended, index: str, action: dict[str, Any]) -> Letter:
        run = end.run
        event_id = f"{end.name}-{index}"
        target, shown = target_of(action)
        return Letter(
            event_id=event_id,
            origin=f"{run.journal}-{run.held_as or run.run_id}-{index}",
            target=target,
            shown=shown,
            run_id=run.run_id,
            job_id=run.job_id,
            action={key: value for key, value in action.items() if key != "if"},
            facts=facts_of(run, event_id, end.at, self._url()),
            args=run.args,
            schedule_time=run.schedule_time,
            journal=run.journal,
            held_as=run.held_as,
            printed=sum(length for stream, length in run.outputs.items() if stream != "samples"),
        )


def ends_in(events: Sequence[Event], journal: int, since: str) -> list[Ended | str]:
    """Return the runs that end in these events, and the jobs that go; what ended before `since` is of the past.

    Notes, marks and the like are no ends; so nothing follows from what this service has written itself.
    """
    found: list[Ended | str] = []
    for event in events:
        if isinstance(event, JobEvent) and event.event == "removed":
            found.append(event.job_id)
        elif isinstance(event, RunEvent) and is_end(event) and event.run is not None and event.at >= since:
            found.append(Ended(event.run, f"{journal}-{event.id}", event.at))
    return found


def is_end(event: Event) -> bool:
    """Say whether a run ends by an event."""
    return isinstance(event, RunEvent) and event.event in FINISHED and event.old not in FINISHED


def series_of(run: Run) -> Series:
    """Return the series that a run belongs to."""
    args = {name: value for name, value in sorted(run.args.items()) if name not in _FILLED_IN}
    return run.job_id, msgspec.json.encode(args).decode()


def _is_ours(action: dict[str, Any]) -> bool:
    return action.get("type") != "schedule"
