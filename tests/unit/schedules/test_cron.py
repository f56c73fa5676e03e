"""Cron schedules, against an enumeration that looks at each minute and knows nothing of cronsim."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.jobs import JobError, parse_job
from apsis.times.local import instants

START = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)  # a Tuesday


def schedule_of(cron, zone="UTC", **keys):
    definition = {"type": "cron", "cron": cron, "tz": zone, **keys}
    return parse_job("x", {"program": "true", "schedule": definition}).schedules[0]


def due(schedule, after=START, count=3):
    return [f"{each.time:%Y-%m-%d %H:%M:%S}" for each in islice(schedule.occurrences(after), count)]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("*/20 * * * *", ["2026-06-30 12:20:00", "2026-06-30 12:40:00", "2026-06-30 13:00:00"]),
        ("*/20 * * * * *", ["2026-06-30 12:00:20", "2026-06-30 12:00:40", "2026-06-30 12:01:00"]),
        ("@daily", ["2026-07-01 00:00:00", "2026-07-02 00:00:00", "2026-07-03 00:00:00"]),
        ("@Hourly", ["2026-06-30 13:00:00", "2026-06-30 14:00:00", "2026-06-30 15:00:00"]),
        ("@yearly", ["2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"]),
        ("0 9 L * *", ["2026-07-31 09:00:00", "2026-08-31 09:00:00", "2026-09-30 09:00:00"]),
        ("0 9 LW * *", ["2026-07-31 09:00:00", "2026-08-31 09:00:00", "2026-09-30 09:00:00"]),
        ("0 9 15W * *", ["2026-07-15 09:00:00", "2026-08-14 09:00:00", "2026-09-15 09:00:00"]),
        ("0 9 1W * *", ["2026-07-01 09:00:00", "2026-08-03 09:00:00", "2026-09-01 09:00:00"]),
        ("0 9 31W * *", ["2026-07-31 09:00:00", "2026-08-31 09:00:00", "2026-10-30 09:00:00"]),
        ("0 9 15W,20 7 *", ["2026-07-15 09:00:00", "2026-07-20 09:00:00", "2027-07-15 09:00:00"]),
        ("0 9 * * mon#2", ["2026-07-13 09:00:00", "2026-08-10 09:00:00", "2026-09-14 09:00:00"]),
        ("0 9 * * 5L", ["2026-07-31 09:00:00", "2026-08-28 09:00:00", "2026-09-25 09:00:00"]),
        ("0 9 13 * 5", ["2026-07-03 09:00:00", "2026-07-10 09:00:00", "2026-07-13 09:00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"]),
    ],
)
def test_each_form_of_an_expression_is_read(cron, expected):
    assert due(schedule_of(cron)) == expected


@pytest.mark.parametrize(
    ("cron", "word"),
    [
        ("* * * *", "4 fields"),
        ("61 * * * *", "minute"),
        ("* 25 * * *", "hour"),
        ("99 * * * *", "0-59"),
        ("0 0 * 13 *", "1-12"),
        ("0 0 0 * *", "1-31"),
        ("0 0 31 2 *", "day-of-month"),
        ("@dialy", "@daily"),
        ("@reboot", "known:"),
        ("* * * * * * *", "7 fields"),
        ("", "fields"),
        ("x * * * *", "minute"),
        ("0 0 40W * *", "day-of-month"),
        (5, "cron expression"),
        ("*/0 * * * *", "minute"),
    ],
)
def test_a_bad_expression_is_refused_with_what_is_wrong(cron, word):
    with pytest.raises(JobError) as caught:
        schedule_of(cron)
    assert word in caught.value.findings[0].message


def test_the_calendar_and_the_exceptions_narrow_it():
    schedule = schedule_of("0 12 * * *", calendar="Mon-Fri", **{"except": "Wed"})
    assert due(schedule) == ["2026-07-02 12:00:00", "2026-07-03 12:00:00", "2026-07-06 12:00:00"]


def test_an_expression_and_a_calendar_that_never_meet_make_no_run():
    assert due(schedule_of("0 12 * * SUN", calendar="Mon-Fri")) == []


def test_it_offers_what_a_daily_schedule_offers():
    assert next(schedule_of("30 14 * * *", "Europe/Berlin").occurrences(START)).offered == {
        "date": "2026-06-30",
        "time": "2026-06-30T12:30:00+00:00",
        "daytime": "14:30:00",
        "calendar": "all days",
        "tz": "Europe/Berlin",
        "schedule_time": "2026-06-30T12:30:00+00:00",
    }


@pytest.mark.parametrize(
    ("dst", "spring", "autumn"),
    [
        ("once", ["2026-03-29 01:00:00", "2026-03-30 00:30:00"], ["2026-10-25 00:30:00", "2026-10-26 01:30:00"]),
        ("skip", ["2026-03-30 00:30:00", "2026-03-31 00:30:00"], ["2026-10-25 00:30:00", "2026-10-26 01:30:00"]),
        ("twice", ["2026-03-29 01:00:00", "2026-03-30 00:30:00"], ["2026-10-25 00:30:00", "2026-10-25 01:30:00"]),
    ],
)
def test_a_fixed_time_obeys_the_policy_for_changed_clocks(dst, spring, autumn):
    schedule = schedule_of("30 2 * * *", "Europe/Berlin", dst=dst)
    assert due(schedule, datetime(2026, 3, 28, 12, tzinfo=UTC), 2) == spring
    assert due(schedule, datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == autumn


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-10-24 23:40", ["00:00", "00:30", "01:00", "01:30", "02:00", "02:30"]),
        ("2026-10-25 00:40", ["01:00", "01:30", "02:00", "02:30", "03:00", "03:30"]),
        ("2026-10-25 01:40", ["02:00", "02:30", "03:00", "03:30", "04:00", "04:30"]),
        ("2026-03-29 00:20", ["00:30", "01:00", "01:30", "02:00", "02:30", "03:00"]),
    ],
)
def test_an_expression_with_a_star_goes_on_through_changed_clocks(after, expected):
    schedule = schedule_of("*/30 * * * *", "Europe/Berlin")
    found = islice(schedule.occurrences(datetime.fromisoformat(after).replace(tzinfo=UTC)), 6)
    assert [f"{each.time:%H:%M}" for each in found] == expected


@pytest.mark.parametrize("keys", [{"cron": "0 12 * * *"}, {"type": "daily", "tz": "UTC", "daytime": "12:00"}])
def test_a_due_time_is_strictly_after(keys):
    job = parse_job("x", {"program": "true", "schedule": {"type": "cron", **keys}})
    assert due(job.schedules[0], START, 1) == ["2026-07-01 12:00:00"]
    assert due(job.schedules[0], START - timedelta(microseconds=1), 1) == ["2026-06-30 12:00:00"]


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"]
CHANGES = [
    "2026-03-29",
    "2026-10-25",
    "2026-03-08",
    "2026-11-01",
    "2026-04-05",
    "2026-10-04",
    "2026-06-30",
    "2026-12-31",
]


def field(low, high, star):
    numbers = st.integers(low, high)
    forms = [
        numbers.map(str),
        st.sets(numbers, min_size=2, max_size=3).map(lambda found: ",".join(map(str, sorted(found)))),
        st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    ]
    return st.one_of(*forms, *([st.just("*"), st.integers(2, 7).map(lambda step: f"*/{step}")] if star else []))


def members(text, low, high):
    found = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        start, _, end = (str(low), "", str(high)) if span == "*" else span.partition("-")
        found |= set(range(int(start), int(end or start) + 1, int(step or 1)))
    return found


def matches(fields, local):
    minute, hour, day, month, weekday = fields
    on_day = local.day in members(day, 1, 31)
    on_weekday = local.isoweekday() % 7 in members(weekday, 0, 6)
    both = day.startswith("*") or weekday.startswith("*")
    return (
        local.minute in members(minute, 0, 59)
        and local.hour in members(hour, 0, 23)
        and local.month in members(month, 1, 12)
        and ((on_day and on_weekday) if both else (on_day or on_weekday))
    )


@settings(max_examples=80, deadline=None)
@given(
    fields=st.tuples(
        field(0, 59, True),
        field(0, 23, True),
        st.one_of(st.just("*"), field(1, 31, False)),
        st.just("*"),
        st.one_of(st.just("*"), field(0, 6, False)),
    ),
    zone=st.sampled_from(ZONES),
    start=st.sampled_from(CHANGES),
    minutes=st.integers(-240, 300) | st.integers(-1500, 300),
    dst=st.sampled_from(["once", "skip", "twice"]),
)
def test_it_is_due_exactly_when_an_enumeration_of_each_minute_says_so(fields, zone, start, minutes, dst):
    info = ZoneInfo(zone)
    after = datetime.fromisoformat(start).replace(tzinfo=UTC) + timedelta(minutes=minutes)
    until = after + timedelta(days=2)
    fixed = not fields[0].startswith("*") and not fields[1].startswith("*")
    wanted = []
    if fixed:
        local = (after - timedelta(days=2)).replace(tzinfo=None)
        for n in range(6 * 24 * 60):
            each = local + timedelta(minutes=n)
            if matches(fields, each):
                wanted += instants(each.date(), each.time(), info, dst)
    else:
        wanted = [
            instant
            for n in range(2 * 24 * 60 + 1)
            if matches(fields, (instant := after + timedelta(minutes=n)).astimezone(info))
        ]
    wanted = sorted(each for each in wanted if after < each <= until)
    found = []
    for each in schedule_of(" ".join(fields), zone, dst=dst).occurrences(after):
        if each.time > until:
            break
        found.append(each.time)
    assert found == wanted
