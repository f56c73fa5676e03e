"""Local time and UTC in every zone of tzdata, around every change of a clock from 2000 to 2040."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from zone_changes import FIRST, LAST, changes, zones

from apsis.times.instants import format_in
from apsis.times.local import Fold, Gap, Once, instants, plain_midnight, reading, since_midnight, wall

MICROSECOND = timedelta(microseconds=1)
HALF_HOUR = timedelta(minutes=30)
ZONES = zones()


def naive(instant, offset):
    """Return what a clock with an offset shows at an instant."""
    return (instant + offset).replace(tzinfo=None)


def probes(at, before, after):
    """Return local times before, at, within and after what a change jumps over or repeats."""
    low, high = sorted((naive(at, before), naive(at, after)))
    middle = low + (high - low) / 2
    return [
        low - HALF_HOUR,
        low - MICROSECOND,
        low,
        low + MICROSECOND,
        middle,
        high - MICROSECOND,
        high,
        high + HALF_HOUR,
    ]


def shown_at(local, zone, offsets):
    """Return the instants at which the wall shows a local time, by trying both offsets."""
    tried = {local.replace(tzinfo=UTC) - offset for offset in offsets}
    return sorted(each for each in tried if each.astimezone(zone).replace(tzinfo=None, fold=0) == local)


def around_each_change(test):
    for zone, found in ZONES:
        for number, (at, before, after) in enumerate(found):
            # where another change is near, the two offsets are not all that may be tried
            near = {each for other in found[max(number - 2, 0) : number + 3] for each in other[1:]}
            test(zone, at, before, after, near)


def test_tzdata_has_zones_and_changes_to_speak_of():
    assert len(ZONES) > 150
    assert sum(len(found) for _, found in ZONES) > 5000
    gaps = [each for _, found in ZONES for each in found if each[2] > each[1]]
    assert max(after - before for _, before, after in gaps) == timedelta(days=1)  # Samoa left out a day


def test_from_utc_to_the_wall_and_back_leads_to_the_same_instant():
    def check(zone, at, before, after, near):
        size = abs(after - before)
        for shift in (-size, -HALF_HOUR, -MICROSECOND, timedelta(0), MICROSECOND, HALF_HOUR, size - MICROSECOND, size):
            instant = at + shift
            shown = wall(instant, zone)
            found = reading(shown.day, shown.daytime, zone)
            assert naive(instant, shown.offset) == datetime.combine(shown.day, shown.daytime), (zone, instant)
            if shown.turn:
                assert isinstance(found, Fold), (zone, instant)
                assert (found.first, found.second)[shown.turn - 1] == instant, (zone, instant)
            else:
                assert found == Once(instant), (zone, instant)
            assert datetime.fromisoformat(format_in(instant, zone, 6)) == instant, (zone, instant)

    around_each_change(check)


def test_a_local_time_is_said_to_occur_never_once_or_twice_and_when():
    def check(zone, at, before, after, near):
        for local in probes(at, before, after):
            wanted = shown_at(local, zone, near)
            match reading(local.date(), local.time(), zone):
                case Once(instant):
                    assert wanted == [instant], (zone, local)
                case Fold(first, second):
                    assert wanted == [first, second], (zone, local)
                case Gap(first_after):
                    assert (wanted, first_after) == ([], at), (zone, local)

    around_each_change(check)


def test_each_policy_makes_of_a_gap_and_a_fold_what_it_says():
    def check(zone, at, before, after, near):
        for local in probes(at, before, after):
            shown = shown_at(local, zone, near)
            once = shown[:1] or [at]
            day, daytime = local.date(), local.time()
            assert instants(day, daytime, zone, "once") == once, (zone, local)
            assert instants(day, daytime, zone, "skip") == shown[:1], (zone, local)
            assert instants(day, daytime, zone, "twice") == (shown or [at]), (zone, local)
            assert instants(day, daytime, zone, "wall") == shown, (zone, local)

    around_each_change(check)


def check_plain(zone, day):
    midnight = plain_midnight(day, zone)
    if midnight is None:
        return
    for daytime in (time(0), time(1, 30), time(2, 30), time(12), time(23, 59, 59, 999999)):
        found = reading(day, daytime, zone)
        assert found == Once(midnight + since_midnight(daytime)), (zone, day, daytime)


def test_a_day_that_counts_as_plain_has_each_time_once_and_as_far_from_midnight_as_it_says():
    def check(zone, at, before, after, near):
        for shift in (-1, 0, 1):
            check_plain(zone, at.astimezone(zone).date() + timedelta(days=shift))

    around_each_change(check)


def test_nearly_every_day_is_plain():
    zone = ZoneInfo("Europe/Berlin")
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    assert sum(plain_midnight(day, zone) is None for day in days) == 2


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_every_day_of_every_zone_is_read_as_a_search_through_the_offsets_says():
    for zone, _ in ZONES:
        found = changes(zone, timedelta(hours=3))
        near = {each for _, *both in found for each in both} or {FIRST.astimezone(zone).utcoffset()}
        days = {at.astimezone(zone).date() for at, _, _ in found}
        day = FIRST.date()
        while day < LAST.date():
            check_plain(zone, day)
            if any(day + timedelta(days=n) in days for n in (-1, 0, 1)):
                for minute in range(0, 1440, 5):
                    local = datetime.combine(day, time(minute // 60, minute % 60))
                    shown = shown_at(local, zone, near)
                    assert instants(day, local.time(), zone, "wall") == shown, (zone, local)
                    assert len(instants(day, local.time(), zone, "once")) == 1, (zone, local)
            day += timedelta(days=1)
