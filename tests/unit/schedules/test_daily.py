"""Daily schedules: zones, calendars, shifts, and what becomes of them when clocks change."""

from datetime import UTC, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from enumeration import enumerated, in_order
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.calendars.weekdays import parse_weekdays
from apsis.jobs import JobError
from apsis.schedules.daily import DailySchedule
from apsis.schedules.schedule import Terms
from apsis.times.local import instants

START = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)  # a Tuesday


def due(schedule, after=START, count=4):
    return [f"{each.time:%m-%d %H:%M}" for each in islice(schedule.occurrences(after), count)]


def test_it_is_due_at_each_daytime_in_its_zone(make):
    schedule = make(type="daily", tz="America/New_York", daytime=["16:00", "09:30:00"])
    assert due(schedule) == ["06-30 13:30", "06-30 20:00", "07-01 13:30", "07-01 20:00"]


def test_it_is_due_on_the_dates_of_its_calendar_alone(make):
    schedule = make(type="daily", tz="UTC", daytime="10:00", calendar="Mon,Fri")
    assert due(schedule) == ["07-03 10:00", "07-06 10:00", "07-10 10:00", "07-13 10:00"]


def test_shifts_are_calendar_days_then_days_then_seconds(make):
    schedule = make(
        type="daily", tz="UTC", daytime="10:00", calendar="Mon-Fri", cal_shift=1, date_shift=-1, time_shift="-1h"
    )
    found = list(islice(schedule.occurrences(START), 4))
    assert [(each.offered["date"], f"{each.time:%m-%d %H:%M}") for each in found] == [
        ("2026-07-01", "07-01 09:00"),
        ("2026-07-02", "07-02 09:00"),
        ("2026-07-03", "07-05 09:00"),
        ("2026-07-06", "07-06 09:00"),
    ]


def test_it_offers_the_nominal_date_and_the_unshifted_time(make):
    schedule = make(
        type="daily", tz="Europe/Berlin", daytime="18:30", calendar="mon-fri", date_shift=1, time_shift="2h"
    )
    assert next(schedule.occurrences(START)).offered == {
        "date": "2026-06-29",
        "time": "2026-06-29T16:30:00+00:00",
        "daytime": "18:30:00",
        "calendar": "Mon-Fri",
        "tz": "Europe/Berlin",
        "schedule_time": "2026-06-30T18:30:00+00:00",
    }


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [
        ("once", ["03-28 01:30", "03-29 01:00", "03-30 00:30"], ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("skip", ["03-28 01:30", "03-30 00:30", "03-31 00:30"], ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("twice", ["03-28 01:30", "03-29 01:00", "03-30 00:30"], ["10-24 00:30", "10-25 00:30", "10-25 01:30"]),
    ],
)
def test_the_policy_for_changed_clocks_holds(make, dst, spring, autumn):
    schedule = make(type="daily", tz="Europe/Berlin", daytime="02:30", dst=dst)
    assert due(schedule, datetime(2026, 3, 27, 12, tzinfo=UTC), 3) == spring
    assert due(schedule, datetime(2026, 10, 23, 12, tzinfo=UTC), 3) == autumn


def test_two_daytimes_in_one_gap_are_both_due_after_it(make):
    schedule = make(type="daily", tz="Europe/Berlin", daytime=["02:15", "02:45"])
    found = list(islice(schedule.occurrences(datetime(2026, 3, 28, 12, tzinfo=UTC)), 2))
    assert found[0].time == found[1].time == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert [each.offered["daytime"] for each in found] == ["02:15:00", "02:45:00"]


def test_it_ends_with_its_calendar(tmp_path):
    from apsis.calendars import Calendars
    from apsis.jobs import parse_job

    (tmp_path / "short.cal").write_text("START 2026-07-01\nSTOP 2026-07-04\n2026-07-01\n2026-07-03\n")
    definition = {"type": "daily", "tz": "UTC", "daytime": "10:00", "calendar": "short"}
    job = parse_job("x", {"program": "true", "schedule": definition}, calendars=Calendars(tmp_path))
    assert due(job.schedules[0], count=9) == ["07-01 10:00", "07-03 10:00"]


def test_a_calendar_without_dates_makes_no_run(make):
    assert due(make(type="daily", tz="UTC", daytime="10:00", calendar="none")) == []


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"daytime": "10:00"}, "tz"),
        ({"tz": "UTC"}, "daytime"),
        ({"tz": "Europe/Brelin", "daytime": "10:00"}, "Europe/Berlin"),
        ({"tz": "UTC", "daytime": []}, "empty"),
        ({"tz": "UTC", "daytime": "10:00", "calendar": "Mon-Fry"}, "calendar"),
        ({"tz": "UTC", "daytime": "10:00", "date_shift": "1 day"}, "whole number"),
        ({"tz": "UTC", "daytime": "10:00", "dst": "thrice"}, "once, skip, twice"),
        ({"tz": "UTC", "daytime": "10:00", "day_time": "x"}, "did you mean 'daytime'"),
        ({"tz": "UTC", "daytime": "10:00", "start_date": "2026-07-01", "end_date": "2026-06-01"}, "before start_date"),
        ({"tz": "UTC", "daytime": "10:00", "args": {"z": 1}}, "no param 'z'"),
    ],
)
def test_a_wrong_key_is_told(make, keys, word):
    with pytest.raises(JobError) as caught:
        make(type="daily", **keys)
    assert word in " ".join(finding.message for finding in caught.value.findings)


ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "America/Havana",
]


@settings(max_examples=120, deadline=None)
@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    daytimes=st.sets(st.integers(0, 95).map(lambda n: time(n // 4, n % 4 * 15)), min_size=1, max_size=4),
    days=st.sets(st.sampled_from(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]), min_size=1).map(",".join),
    shifts=st.tuples(st.integers(-9, 9), st.integers(-4, 4), st.integers(-30, 30).map(lambda n: n * 3600.0)),
    dst=st.sampled_from(["once", "skip", "twice"]),
    after=st.datetimes(datetime(1999, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_it_is_due_when_each_date_taken_by_itself_says_so(zone, daytimes, days, shifts, dst, after):
    """The oracle goes through half a year of nominal dates, shifts each one by hand, and sorts."""
    date_shift, cal_shift, time_shift = shifts
    calendar = parse_weekdays(days)
    schedule = DailySchedule(
        terms=Terms(dst=dst),
        definition={},
        zone=zone,
        daytimes=tuple(sorted(daytimes)),
        calendar=calendar,
        date_shift=date_shift,
        cal_shift=cal_shift,
        time_shift=time_shift,
    )
    wanted = []
    for n in range(-120, 260):
        day = after.date() + timedelta(days=n)
        if day in calendar:
            shifted = calendar.shift(day, cal_shift) + timedelta(days=date_shift)
            for daytime in daytimes:
                wanted += [each + timedelta(seconds=time_shift) for each in instants(shifted, daytime, zone, dst)]
    wanted = sorted(each for each in wanted if each > after)
    assert [each.time for each in islice(schedule.occurrences(after), 8)] == wanted[:8]


def test_the_first_and_last_years_of_the_calendar_are_no_trap(make):
    schedule = make(type="daily", tz="Pacific/Apia", daytime="10:00", date_shift=-3660, cal_shift=9)
    assert len(due(schedule, datetime(1, 1, 1, tzinfo=UTC), 2)) == 2
    assert due(schedule, datetime(9990, 1, 1, tzinfo=UTC)) == []


@pytest.mark.parametrize("minutes", [-31, -1, 0, 1, 29, 45, 60, 75])
@pytest.mark.parametrize(
    "keys",
    [
        {"type": "daily", "daytime": ["23:30", "00:00:30", "00:30"]},
        {"type": "cron", "cron": "30 23,0 * * *"},
        {"type": "daily-interval", "start": "22:00", "stop": "23:45", "interval": 600},
    ],
    ids=str,
)
def test_a_clock_put_back_over_midnight_leads_back_to_the_day_before(make, keys, minutes):
    # in St John's it was 00:01 on 7 November, and then 23:01 on the 6th once more: who asks between is on the 7th
    definition = {**keys, "tz": "America/St_Johns", "dst": "twice"}
    after = datetime(2010, 11, 7, 2, 31, tzinfo=UTC) + timedelta(minutes=minutes)
    until = after + timedelta(hours=30)
    found = []
    for each in make(definition).occurrences(after):
        if each.time > until:
            break
        found.append((each.time, each.offered))
    assert [time for time, _ in found] == sorted(time for time, _ in found)
    assert in_order(found) == enumerated(definition, after, until)
