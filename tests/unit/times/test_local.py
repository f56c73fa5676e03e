"""Local times to UTC: compared with a search through every half hour around, which asks only for offsets."""

import functools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.times.local import Fold, Gap, Once, instants, reading

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Europe/Dublin",
    "Asia/Tehran",
    "America/Havana",
]


def occurring(day, daytime, zone):
    """Return the instants at which the wall clock shows the time, by trying every offset that a zone could have."""
    local = datetime.combine(day, daytime)
    tried = {local.replace(tzinfo=UTC) - timedelta(minutes=15 * n) for n in range(-64, 65)}
    return sorted(each for each in tried if each.astimezone(zone).replace(tzinfo=None, fold=0) == local)


@functools.cache
def changes(name):
    """Return the dates in forty years on which the clock of a zone is changed, and those around."""
    zone, found = ZoneInfo(name), []
    for n in range(40 * 366):
        noon = datetime(1995, 1, 1, 12, tzinfo=UTC) + timedelta(days=n)
        if noon.astimezone(zone).utcoffset() != (noon - timedelta(days=1)).astimezone(zone).utcoffset():
            found += [noon.date() + timedelta(days=shift) for shift in (-1, 0)]
    return found or [date(2026, 6, 30)]


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(ZONES).flatmap(
        lambda name: st.tuples(
            st.just(name), st.sampled_from(changes(name)) | st.dates(date(1995, 1, 1), date(2035, 12, 31))
        )
    ),
    st.integers(0, 4 * 12 - 1).map(lambda n: time(n // 12, n % 12 * 5)) | st.times().map(lambda t: t.replace(second=0)),
)
def test_a_reading_says_whether_a_local_time_occurs_never_once_or_twice(named_day, daytime):
    name, day = named_day
    daytime = daytime.replace(microsecond=0)
    zone = ZoneInfo(name)
    found = reading(day, daytime, zone)
    wanted = occurring(day, daytime, zone)
    match found:
        case Once(instant):
            assert wanted == [instant]
        case Fold(first, second):
            assert wanted == [first, second]
        case Gap(after):
            assert wanted == []
            before = after - timedelta(microseconds=1)
            assert before.astimezone(zone).replace(tzinfo=None) < datetime.combine(day, daytime)
            assert after.astimezone(zone).replace(tzinfo=None) > datetime.combine(day, daytime)


@pytest.mark.parametrize(
    ("zone", "local", "after"),
    [
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 01:00"),
        ("America/New_York", "2026-03-08 02:00", "2026-03-08 07:00"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03 15:30"),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-30 10:00"),
        ("America/Sao_Paulo", "2018-11-04 00:00", "2018-11-04 03:00"),
    ],
)
def test_a_time_in_the_gap_leads_to_the_first_instant_after_it(zone, local, after):
    when = datetime.fromisoformat(local)
    expected = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert reading(when.date(), when.time(), ZoneInfo(zone)) == Gap(expected)


@pytest.mark.parametrize(("dst", "gap", "fold"), [("once", 1, 1), ("skip", 0, 1), ("twice", 1, 2)])
def test_the_policy_decides_how_often_a_gap_and_a_fold_count(dst, gap, fold):
    zone = ZoneInfo("Europe/Berlin")
    assert len(instants(date(2026, 3, 29), time(2, 30), zone, dst)) == gap
    assert len(instants(date(2026, 10, 25), time(2, 30), zone, dst)) == fold
    assert len(instants(date(2026, 6, 1), time(2, 30), zone, dst)) == 1


def test_a_fold_has_its_first_occurrence_before_its_second():
    found = reading(date(2026, 10, 25), time(2, 30), ZoneInfo("Europe/Berlin"))
    assert found == Fold(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
