"""Interval schedules follow elapsed time from the epoch."""

from datetime import UTC, datetime, timedelta
from itertools import count, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.jobs import JobError
from apsis.times import from_micros, to_micros

START = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)


def times(schedule, after=START, number=5):
    return [each.time for each in islice(schedule.occurrences(after), number)]


def test_a_due_time_is_strictly_after(make):
    schedule = make(type="interval", interval="10s")
    assert times(schedule, START, 2) == [START + timedelta(seconds=10), START + timedelta(seconds=20)]
    assert times(schedule, START - timedelta(microseconds=1), 1) == [START]


@settings(deadline=None)
@given(
    st.integers(1, 10**8).map(lambda millis: millis * 1000),
    st.integers(0, 10**6).map(lambda millis: millis * 1000),
    st.integers(0, 2 * 10**15),
)
def test_due_times_are_the_multiples_after_epoch_and_phase(interval, phase, after):
    from apsis.schedules.interval import IntervalSchedule
    from apsis.schedules.schedule import Terms

    schedule = IntervalSchedule(terms=Terms(), definition={}, interval=interval, phase=phase)
    found = [to_micros(each) for each in times(schedule, from_micros(after))]
    first = next(n for n in count((after - phase) // interval - 1) if phase + n * interval > after)
    assert found == [phase + (first + n) * interval for n in range(5)]


def test_it_offers_its_time_in_utc(make):
    offered = next(make(type="interval", interval="1h", phase="15m").occurrences(START)).offered
    assert offered == {
        "time": "2026-06-30T12:15:00+00:00",
        "date": "2026-06-30",
        "daytime": "12:15:00",
        "schedule_time": "2026-06-30T12:15:00+00:00",
    }


def test_excepted_days_are_passed_over_whole_and_quickly(make):
    schedule = make({"except": "Sat,Sun"}, type="interval", interval="1s")
    friday_night = datetime(2026, 7, 3, 23, 59, 59, tzinfo=UTC)
    assert times(schedule, friday_night, 1) == [datetime(2026, 7, 6, tzinfo=UTC)]


def test_a_schedule_whose_days_are_all_excepted_ends(make):
    assert times(make({"except": "all"}, type="interval", interval=0.001)) == []


def test_start_and_end_date_are_inclusive(make):
    schedule = make(type="interval", interval="12h", start_date="2026-07-02", end_date="2026-07-03")
    assert times(schedule, number=9) == [datetime(2026, 7, day, hour, tzinfo=UTC) for day in (2, 3) for hour in (0, 12)]


@pytest.mark.parametrize("interval", [0, "0s", -1, "soon", None, 0.0001])
def test_an_interval_must_be_a_time_that_passes(make, interval):
    with pytest.raises(JobError, match="interval"):
        make(type="interval", interval=interval)


def test_jitter_delays_each_time_by_the_same_stable_amount(make):
    plain = make(type="interval", interval="1h")
    first, again = (make(type="interval", interval="1h", jitter="10 min", job_id="a") for _ in range(2))
    other = make(type="interval", interval="1h", jitter="10 min", job_id="b")
    delay = times(first, number=1)[0] - times(plain, number=1)[0]
    assert timedelta(hours=-1) < delay < timedelta(minutes=10)
    assert times(first) == times(again) != times(other)
    steps = {later - earlier for earlier, later in zip(times(first), times(first)[1:], strict=False)}
    assert steps == {timedelta(hours=1)}


def test_due_times_are_whole_milliseconds(make):
    schedule = make(type="interval", interval="1h", jitter="10 min")
    assert all(each.microsecond % 1000 == 0 for each in times(schedule))


def test_the_end_of_time_ends_it(make):
    assert times(make(type="interval", interval="10h"), datetime.max.replace(tzinfo=UTC)) == []
