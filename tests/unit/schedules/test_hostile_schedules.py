"""Schedules written to hang or to overflow: each search is bounded, and ends in nothing or in the right time."""

import time
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from apsis.calendars import Calendars
from apsis.jobs import JobError, parse_job

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
#: seconds of CPU; the slowest takes some tenths
PATIENCE = 3.0
DAILY = {"type": "daily", "tz": "Europe/Berlin", "daytime": "02:30"}
PART = {"type": "daily-interval", "tz": "Europe/Berlin", "start": "00:00", "stop": "23:59"}


def first(schedule, after=NOW, count=3):
    begun = time.process_time()
    found = [each.time for each in islice(schedule.occurrences(after), count)]
    assert time.process_time() - begun < PATIENCE
    assert found == sorted(found)
    assert all(each > after for each in found)
    return found


@pytest.mark.parametrize(
    "definition",
    [
        {**DAILY, "calendar": "none"},
        {**DAILY, "calendar": "none", "cal_shift": 1000},
        {**DAILY, "calendar": "none", "cal_shift": -1000},
        {**DAILY, "except": "all"},
        {**DAILY, "calendar": "Mon", "except": "Mon-Wed"},
        {**DAILY, "calendar": "Mon-Fri - Mon-Fri"},
        {**DAILY, "end_date": "2020-01-01"},
        {"type": "cron", "cron": "* * * * *", "calendar": "none"},
        {"type": "cron", "cron": "* * * * * *", "except": "all"},
        {"type": "cron", "cron": "0 0 29 2 *", "calendar": "Mon", "except": "Mon"},
        {"type": "cron", "cron": "0 0 * * SUN", "calendar": "Mon-Sat"},
        {"type": "interval", "interval": 0.001, "except": "all"},
        {"type": "interval", "interval": 0.001, "end_date": "1970-01-01"},
        {**PART, "interval": 0.001, "calendar": "none"},
        {**PART, "interval": 0.001, "except": "all"},
        {**PART, "start": {"daytime": "00:00", "cal_shift": 1}, "interval": 1},
        {"type": "explicit", "times": []},
        {"type": "explicit", "times": ["2026-06-30T12:00:00Z"]},
        {"type": "explicit", "times": ["2030-01-01T00:00:00Z"], "except": "all"},
    ],
    ids=str,
)
def test_a_schedule_that_is_never_due_says_so_and_does_not_search_for_ever(make, definition):
    assert first(make(definition)) == []


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        # a 29 February that is a Monday is rare
        ({"type": "cron", "cron": "0 0 29 2 *", "calendar": "Mon"}, "2044-02-29T00:00:00"),
        ({"type": "cron", "cron": "0 0 * 2 MON#5"}, "2044-02-29T00:00:00"),
        ({"type": "cron", "cron": "0 0 30 2 5"}, "2027-02-05T00:00:00"),
        ({"type": "interval", "interval": 0.001}, "2026-06-30T12:00:00.001"),
        ({"type": "interval", "interval": 0.001, "except": "Tue-Sun"}, "2026-07-06T00:00:00"),
        ({"type": "interval", "interval": 0.001, "start_date": "2999-01-01"}, "2999-01-01T00:00:00"),
        ({"type": "interval", "interval": "300000d"}, "2791-05-17T00:00:00"),
        ({**DAILY, "calendar": "holidays:US", "cal_shift": -500}, "2026-07-03T00:30:00"),
        ({**DAILY, "start_date": "9000-01-01"}, "9000-01-01T01:30:00"),
        ({**DAILY, "date_shift": 3660}, "2026-07-01T00:30:00"),
        ({**DAILY, "date_shift": -3660}, "2026-07-01T00:30:00"),
        ({**DAILY, "calendar": "Mon", "cal_shift": 1000}, "2026-07-06T00:30:00"),
        ({**DAILY, "calendar": "Mon", "cal_shift": -1000}, "2026-07-06T00:30:00"),
        ({**DAILY, "time_shift": "3660d"}, "2026-07-01T00:30:00"),
        ({**DAILY, "time_shift": "-3660d"}, "2026-07-01T00:30:00"),
        ({**PART, "interval": 0.001}, "2026-06-30T12:00:00.001"),
        ({**PART, "stop": {"daytime": "00:00", "date_shift": 3660}, "interval": "12h"}, "2026-06-30T22:00:00"),
        ({"type": "explicit", "times": ["9699-12-31T00:00:00Z"]}, "9699-12-31T00:00:00"),
    ],
    ids=str,
)
def test_a_schedule_that_is_due_at_last_is_found_without_going_through_all_between(make, definition, expected):
    assert first(make(definition), count=1) == [datetime.fromisoformat(expected).replace(tzinfo=UTC)]


@pytest.mark.parametrize(
    "after", [datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC), datetime(9698, 12, 28, tzinfo=UTC)]
)
@pytest.mark.parametrize(
    "definition",
    [
        {"type": "interval", "interval": "100d", "jitter": "7d"},
        {**DAILY, "cal_shift": -1000, "date_shift": -3660, "time_shift": "-3660d", "jitter": "7d"},
        {**DAILY, "cal_shift": 1000, "date_shift": 3660, "time_shift": "3660d"},
        {"type": "cron", "cron": "30 2 * * *", "tz": "America/New_York"},
        {**PART, "interval": "5h", "stop": {"daytime": "00:00", "date_shift": 3660, "cal_shift": 100}},
        {"type": "explicit", "times": ["1900-01-01T00:00:00Z", "9699-12-31T23:59:59.999Z"], "jitter": "7d"},
    ],
    ids=str,
)
def test_the_first_and_the_last_years_are_no_harder_than_others(make, definition, after):
    first(make(definition), after, 2)


@pytest.mark.parametrize(
    ("definition", "word"),
    [
        ({"type": "cron", "cron": "0 0 30 2 *"}, "day-of-month"),
        ({"type": "cron", "cron": "0 0 31 4,6,9,11 *"}, "day-of-month"),
        ({"type": "interval", "interval": 0.0009}, "millisecond"),
        ({"type": "interval", "interval": "1e-9"}, "duration"),
        ({**DAILY, "date_shift": 3661}, "3660 days"),
        ({**DAILY, "cal_shift": 10**9}, "1000 dates"),
        ({**DAILY, "time_shift": "900000d"}, "thousand years"),
        ({**DAILY, "time_shift": "-3661d"}, "3660 days"),
        ({**DAILY, "time_shift": "--1h"}, "two signs"),
        ({**DAILY, "jitter": "8d"}, "7 days"),
        ({**PART, "interval": 60, "stop": "00:00"}, "not after start"),
        ({**PART, "interval": 60, "stop": {"daytime": "00:00", "days": 1}}, "unknown key 'days'"),
        ({**PART, "interval": 60, "stop": 24 * 3600}, "within a day"),
        ({"type": "explicit", "times": "9999-12-31T23:59:59Z"}, "1900 and 9700"),
        ({"type": "explicit", "times": "0001-01-01T00:00:00+14:00"}, "out of range"),
        ({"type": "explicit", "times": ["2026-06-30T12:00:00"]}, "no offset"),
        ({"type": "explicit", "times": [1782829800]}, "expected a time"),
        ({"type": "explicit", "times": ["soon"]}, "is no time"),
        ({"type": "explicit"}, "'times'"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(make, definition, word):
    with pytest.raises(JobError) as caught:
        make(definition)
    assert word in " ".join(finding.message for finding in caught.value.findings)


def test_a_part_of_the_day_that_is_always_empty_ends(tmp_path):
    # whether the stop is before the start cannot be seen from the keys: the calendar decides
    (tmp_path / "rare.cal").write_text(
        "START 2026-01-01\nSTOP 2090-01-01\n" + "".join(f"{y}-07-01\n" for y in range(2026, 2090))
    )
    definition = {**PART, "stop": {"daytime": "01:00", "date_shift": 30}, "start": {"daytime": "00:00", "cal_shift": 1}}
    definition |= {"interval": 60, "calendar": "rare"}
    job = parse_job("x", {"program": "true", "schedule": definition}, calendars=Calendars(tmp_path))
    assert first(job.schedules[0]) == []


def test_the_times_between_two_far_apart_instants_are_leapt_over(make):
    schedule = make({**PART, "interval": 0.001, "stop": {"daytime": "00:00", "date_shift": 1}})
    assert first(schedule, NOW + timedelta(hours=9, minutes=59, seconds=59.999), 1) == [NOW + timedelta(hours=10)]
