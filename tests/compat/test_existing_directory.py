"""A job directory of the existing format loads unchanged, and means what it meant: the same times, the same args."""

import heapq
import os
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
import yaml

from apsis.jobs import bind_args, expand
from apsis.jobs.load import load_jobs

HERE = Path(__file__).parent
FOLDER = HERE / "jobs"
#: before the clocks change in America and Australia, then in Europe; and in autumn
SPRING = datetime(2026, 3, 6, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def directory():
    """Return the jobs of the directory, and what was found wrong; its classes are on the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        patch.syspath_prepend(str(HERE / "classes"))
        # a schedule's class is imported by a process of its own
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE / "classes"), os.environ.get("PYTHONPATH")])))
        yield load_jobs(FOLDER)
    for name in ("compat_classes", "table"):
        sys.modules.pop(name, None)


def ours(jobs, start, count):
    """Return the first runs of all schedules, as `table` does."""

    def of(job, schedule):
        for occurrence in schedule.occurrences(start):
            yield occurrence.time, job.job_id, tuple(sorted(bind_args(job, schedule, occurrence).items()))

    streams = [of(job, schedule) for job in jobs.values() for schedule in job.schedules if schedule.enabled]
    # the streams are sorted by time alone
    rows = islice(heapq.merge(*streams, key=lambda row: row[0]), count + 50)
    return sorted(rows)[:count]


def test_it_has_forty_files_and_loads_with_no_finding(directory):
    assert len(list(FOLDER.rglob("*.yaml"))) >= 40
    assert [str(each) for each in directory.errors] == []
    assert len(directory.jobs) == len(list(FOLDER.rglob("*.yaml")))


@pytest.mark.parametrize("start", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_its_first_1000_runs_have_the_times_and_args_of_an_independent_table(directory, start):
    from table import table

    expected = table(FOLDER, start, 1000)
    assert ours(directory.jobs, start, 1000) == expected
    assert expected[-1][0] - start > timedelta(days=20)
    scheduled = {job.job_id for job in directory.jobs.values() if any(each.enabled for each in job.schedules)}
    assert {row[1] for row in expected} == scheduled


#: reckoned by hand from a calendar and the dates on which the clocks change
BY_HAND = [
    # New York, 8 March 2026: 02:00 EST becomes 03:00 EDT, at 07:00 UTC. There is no 02:30
    ("set of params", {"date": "2026-03-07", "region": "us"}, "2026-03-07T07:30:00"),
    ("set of params", {"date": "2026-03-08", "region": "us"}, "2026-03-08T07:00:00"),
    ("set of params", {"date": "2026-03-09", "region": "us"}, "2026-03-09T06:30:00"),
    # Berlin, 29 March: 02:00 CET becomes 03:00 CEST, at 01:00 UTC
    ("set of params", {"date": "2026-03-28", "region": "eu"}, "2026-03-28T01:30:00"),
    ("set of params", {"date": "2026-03-29", "region": "eu"}, "2026-03-29T01:00:00"),
    ("set of params", {"date": "2026-03-30", "region": "eu"}, "2026-03-30T00:30:00"),
    # Saturday's run is due a day later, in the gap of Sunday
    ("sundays shifted", {"date": "2026-03-28"}, "2026-03-29T01:00:00"),
    # 03:15 CEST is 01:15 UTC; an hour earlier by the clock of a stop watch, 00:15 UTC
    ("shifted back", {"date": "2026-03-29", "time": "2026-03-29T01:15:00+00:00"}, "2026-03-29T00:15:00"),
    # 1:00 CET to before 5:00 CEST is three hours: six runs of half an hour each, not eight
    ("over the change", {"time": "2026-03-29T00:00:00+00:00"}, "2026-03-29T00:00:00"),
    ("over the change", {"time": "2026-03-29T02:30:00+00:00"}, "2026-03-29T02:30:00"),
    # Lord Howe, 5 April: back by half an hour at 15:00 UTC of the 4th. 02:15 is after it once
    ("braced params", {"date": "2026-03-20", "tz": "Australia/Lord_Howe"}, "2026-03-19T15:15:00"),
    # New York leaves a day out of Friday's runs and Monday's: 16:45 is 21:45 UTC before the change
    ("month end", {"date": "2026-03-31", "calendar": "month-ends"}, "2026-02-27T21:45:00"),
    # Friday 27 March: one date of Mon-Fri on is Monday the 30th, 00:45 CEST (22:45 UTC of Sunday), and 90 minutes on
    (
        "next business day",
        {"date": "2026-03-27", "time": "2026-03-26T23:45:00+00:00", "calendar": "Mon-Fri"},
        "2026-03-30T00:15:00",
    ),
    ("weekly report", {"date": "2026-03-30"}, "2026-03-29T04:00:00"),
    # Berlin, 25 October: 03:00 CEST becomes 02:00 CET, at 01:00 UTC. 02:30 is twice; the first is 00:30 UTC
    ("set of params", {"date": "2026-10-25", "region": "eu"}, "2026-10-25T00:30:00"),
    ("set of params", {"date": "2026-10-26", "region": "eu"}, "2026-10-26T01:30:00"),
    ("sundays shifted", {"date": "2026-10-24"}, "2026-10-25T00:30:00"),
    # New York, 1 November: 02:30 is after the change that repeats 01:00 to 02:00
    ("set of params", {"date": "2026-11-01", "region": "us"}, "2026-11-01T07:30:00"),
    ("explicit times", {"time": "2026-03-09T13:30:00+00:00"}, "2026-03-09T13:30:00"),
    ("phased", {"time": "2026-03-29T01:30:00+00:00"}, "2026-03-29T01:30:00"),
    ("own class", {"n": "3", "date": "2026-03-08"}, "2026-03-08T15:00:00"),
]


@pytest.mark.parametrize(("job_id", "args", "due"), BY_HAND, ids=[f"{job} {due}" for job, _, due in BY_HAND])
def test_a_run_reckoned_by_hand_is_due_when_it_was(directory, job_id, args, due):
    job = directory.jobs[job_id]
    time = datetime.fromisoformat(due).replace(tzinfo=UTC)
    found = [
        (occurrence.time, bind_args(job, schedule, occurrence))
        for schedule in job.schedules
        if schedule.enabled
        for occurrence in islice(schedule.occurrences(time - timedelta(days=1)), 40)
    ]
    assert [when for when, these in found if these == args] == [time]


def test_over_the_change_of_the_clock_elapsed_time_counts(directory):
    (schedule,) = directory.jobs["over the change"].schedules
    for sunday, runs in (("2026-03-22", 8), ("2026-03-29", 6), ("2026-10-25", 10)):
        start = datetime.fromisoformat(sunday).replace(tzinfo=UTC) - timedelta(hours=3)
        found = [each.time for each in islice(schedule.occurrences(start), 20) if each.time < start + timedelta(days=1)]
        assert len(found) == runs


@pytest.mark.parametrize(
    ("job_id", "index", "due", "stop"),
    [
        ("stopped after", 0, "2026-03-28T19:00:00", "2026-03-29T03:00:00"),
        # 23:00 EST of Saturday; 02:30 is not there on Sunday: 07:00 UTC is the first moment after
        ("stopped at", 0, "2026-03-08T04:00:00", "2026-03-08T07:00:00"),
        ("stopped at", 0, "2026-03-15T03:00:00", "2026-03-15T06:30:00"),
        # at the very time of day: the next one, strictly after
        ("stopped at", 1, "2026-03-22T01:30:00", "2026-03-23T01:30:00"),
    ],
)
def test_stop_times_are_those_reckoned_by_hand(directory, job_id, index, due, stop):
    schedule = directory.jobs[job_id].schedules[index]
    found = schedule.stop_time(datetime.fromisoformat(due).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(stop).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("job_id", "args", "due", "words"),
    [
        ("words", {}, None, ["/bin/echo", "hello", "5", "1.5", "True"]),
        (
            "templates/dates",
            {"date": "2026-03-27"},  # a Friday
            None,
            [
                "2026-03-28", "2026-03-26", "2026-03-27", "2026-03-27", "2026-03-31", "2026-04-03", "20260327",
                "27.03.2026", "March",
            ],
        ),
        (
            "templates/times",
            {"date": "2026-03-29", "schedule_time": "2026-03-29T01:00:00+00:00"},
            "2026-03-29T01:00:00",
            [
                "2026-03-29T10:00:00+00:00", "2026-03-29T01:00:00+00:00", "21:00:00", "2026-03-29", "01:00", "1030",
            ],
        ),
        ("templates/newline", {"date": "2026-03-27"}, None, ["/bin/bash", "-c", "echo 2026-03-27"]),
        (
            "etl/load prices",
            {"date": "2026-03-30", "region": "eu"},  # a Monday
            None,
            ["/bin/bash", "-c", "load --date 2026-03-30 --before 2026-03-27\ntouch done.r7"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_templates_expand_to_what_was_reckoned_by_hand(directory, job_id, args, due, words):
    time = datetime.fromisoformat(due).replace(tzinfo=UTC) if due else None
    assert list(expand(directory.jobs[job_id], "r7", args, time).program.argv) == words


def test_conditions_and_actions_get_the_args_reckoned_by_hand(directory):
    def bound(job_id, **args):
        params = {job.job_id: job.params for job in directory.jobs.values()}
        return expand(directory.jobs[job_id], "r7", args, None, params_of=params.get)

    load = bound("etl/load prices", date="2026-03-30", region="us")
    assert load.conditions[0].args == {"date": "2026-03-30", "region": "us"}
    assert load.conditions[1].count == 2
    assert bound("etl/load prices", date="2026-03-30", region="eu").conditions[1].count == 1
    assert (load.actions[0].job_id, load.actions[0].args) == ("alerts/note", {"job": "etl/load prices", "run": "r7"})
    assert (load.actions[1].job_id, load.actions[1].if_states) == ("etl/check prices", ("success",))
    # Monday's run waits for the Friday before it
    check = bound("etl/check prices", date="2026-03-30", region="eu")
    assert check.conditions[0].args == {"date": "2026-03-27", "region": "eu"}
    assert [action.job_id for action in check.actions] == ["etl/publish", "etl/archive files"]
    assert check.actions[1].args == {"age": "7"}


#: every unmarked key of the format, and where it stands
KEYS = {
    "": "program params schedule condition action successors metadata ad_hoc job_id",
    "metadata": "description labels",
    "program": "type command argv host user timeout stop duration success group_id sudo_user path age count"
    " chunk_size chunk_sleep",
    "timeout": "duration signal",
    "stop": "signal grace_period type duration daytime tz date_shift cal_shift",
    "schedule": "type enabled args start stop interval phase tz daytime calendar date_shift cal_shift time_shift times",
    "condition": "type job_id args states exist count check_states target_state value",
    "action": "type job_id args if",
    "if": "states",
    "successors": "job_id args",
}
TYPES = {
    "program": "no-op program shell procstar procstar-shell apsis.program.internal.stats.StatsProgram"
    " apsis.program.internal.archive.ArchiveProgram apsis.program.internal.vacuum.VacuumProgram"
    " compat_classes.Greeting",
    "schedule": "interval daily daily-interval explicit compat_classes.EveryThirdDay",
    "condition": "dependency max_running skip_duplicate const compat_classes.FileThere",
    "action": "schedule compat_classes.Note",
    "stop": "duration daytime",
}


def test_it_uses_every_key_and_type_of_the_format():
    used: dict[str, set[str]] = {key: set() for key in KEYS}
    types: dict[str, set[str]] = {key: set() for key in TYPES}

    def walk(value, above):
        if isinstance(value, dict):
            inner = "schedule" if above == "start" and "type" in value else above
            used.get(inner, set()).update(value)
            if "type" in value and inner in types:
                types[inner].add(value["type"])
            for key, each in value.items():
                walk(each, key)
        for each in value if isinstance(value, list) else ():
            walk(each, above)

    for path in FOLDER.rglob("*.yaml"):
        walk(yaml.safe_load(path.read_text()), "")
    assert {key: sorted(set(names.split()) - used[key]) for key, names in KEYS.items()} == {key: [] for key in KEYS}
    assert {key: sorted(set(names.split()) - types[key]) for key, names in TYPES.items()} == {key: [] for key in TYPES}
