"""A leap year of five hundred jobs."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from mixed_jobs import mixed_jobs
from scheduled_play import Account, Play

from apsis.messages.events import Event
from apsis.runs.core.effects import Effects
from apsis.runs.core.memory import MemoryTables
from apsis.runs.core.rows import RunRow
from apsis.runs.run import Run
from apsis.runs.states import FINISHED

BEGIN = datetime(2023, 12, 30, 9, tzinfo=UTC)
DAYS = 370
JOBS = 500


class Journal:
    """Counts all events, and keeps the last, and those that say what does not run."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[Event] = []
        self.last: list[Event] = []

    def append(self, event: Event) -> None:
        """Take in an event."""
        self.count += 1
        self.last = [event]
        if getattr(event, "kind", "") == "not_run":
            self.kept.append(event)

    def __len__(self) -> int:
        """Return how many there were."""
        return self.count

    def __iter__(self) -> Iterator[Event]:
        """Return those that are kept."""
        return iter(self.kept if self.kept[-1:] == self.last else self.kept + self.last)


class LeanTables(MemoryTables):
    """Tables that keep of a run that has ended what is needed for the account: a year has half a million."""

    def __init__(self) -> None:
        super().__init__()
        self.events = Journal()  # type: ignore[assignment]  # all that is asked of it

    def commit(self, effects: Effects) -> None:
        """Take in all effects of a turn."""
        super().commit(effects)
        for row in effects.runs.values():
            run = row.run
            if run.state in FINISHED:
                lean = Run(
                    run_id=run.run_id, job_id=run.job_id, args=run.args, state=run.state, reason=run.reason,
                    schedule_time=run.schedule_time, timestamps=run.timestamps, expected=run.expected,
                )  # fmt: skip
                self.runs[row.num] = RunRow(row.num, row.args_key, lean, row.facts)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_a_leap_year_of_many_jobs_loses_repeats_and_hastens_nothing(zone: str) -> None:
    draw = random.Random(zone)
    jobs = mixed_jobs(draw, zone, BEGIN, JOBS)
    game = Play(draw, jobs, BEGIN, BEGIN + timedelta(days=DAYS), tables=LeanTables())
    game.play(60)
    assert Account(game).wrong() == []
    assert len(game.tables.runs) > JOBS * DAYS / 4
