"""Schedules around changes of the clock in every zone of tzdata, 2000 to 2040: the rules of `dst`, one by one.

By day a sample of each zone's changes, by night all of them.
"""

from collections import Counter
from datetime import time, timedelta
from itertools import pairwise
from random import Random

import pytest
from enumeration import enumerated, in_order
from zone_changes import zones

SAMPLE = 5
DAYS = timedelta(days=3)
NOON = time(12)
SAMPLED = pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.nightly)])


def picked(everything, sample=SAMPLE):
    """Yield zone and change; by day a few of each zone, the same each time."""
    for zone, found in zones():
        chosen = found if everything or len(found) <= sample else Random(zone.key).sample(found, sample)
        for at, before, after in chosen:
            if time_of_day(at, before, after) is not None:
                yield zone, at, before, after


def time_of_day(at, before, after):
    """Return the date and a time of day, in whole minutes, in the middle of what is jumped over or repeated."""
    low, high = sorted((at + before, at + after))
    middle = (low + (high - low) / 2).replace(tzinfo=None, second=0, microsecond=0)
    # a change by seconds leaves no minute to speak of
    return middle if high - low >= timedelta(minutes=2) else None


def due(schedule, at):
    """Return the occurrences of three days before and after a change."""
    found = []
    for each in schedule.occurrences(at - DAYS):
        if each.time > at + DAYS:
            break
        found.append(each)
    return found


def daily(make, zone, local, dst):
    return make(type="daily", tz=zone.key, daytime=[f"{local:%H:%M:%S}", f"{NOON:%H:%M:%S}"], dst=dst)


def cron(make, zone, local, dst):
    return make(type="cron", tz=zone.key, cron=f"{local.minute} {local.hour} * * *", dst=dst)


def dates_within(at, zone):
    """Return the local dates that lie wholly within the days that are looked at, those that are jumped over too."""
    first = (at - DAYS).astimezone(zone).date() + timedelta(days=2)
    last = (at + DAYS).astimezone(zone).date() - timedelta(days=2)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@SAMPLED
@pytest.mark.parametrize("kind", [daily, cron])
def test_once_never_skips_a_day_and_never_runs_twice(make, kind, everything):
    for zone, at, before, after in picked(everything):
        local = time_of_day(at, before, after)
        found = due(kind(make, zone, local, "once"), at)
        count = Counter((each.offered["date"], each.offered["daytime"]) for each in found)
        for day in dates_within(at, zone):
            assert count[str(day), f"{local:%H:%M:%S}"] == 1, (zone, local, day)
        if after > before:
            (jumped,) = [each for each in found if (each.offered["date"], each.offered["daytime"]) == at_local(local)]
            assert jumped.time == at, f"not the first instant after the gap: {zone} {local}"


@SAMPLED
@pytest.mark.parametrize("kind", [daily, cron])
def test_skip_leaves_out_the_day_of_a_gap_and_twice_runs_both_times_of_a_fold(make, kind, everything):
    for zone, at, before, after in picked(everything):
        local = time_of_day(at, before, after)
        for dst, wanted in (("skip", 0 if after > before else 1), ("twice", 1 if after > before else 2)):
            found = due(kind(make, zone, local, dst), at)
            there = [each for each in found if (each.offered["date"], each.offered["daytime"]) == at_local(local)]
            assert len(there) == wanted, (zone, local, dst)
            if wanted == 2:
                assert there[1].time - there[0].time == before - after, (zone, local)


def at_local(local):
    return str(local.date()), f"{local:%H:%M:%S}"


@SAMPLED
def test_a_cron_expression_with_a_star_runs_whenever_the_wall_shows_it(make, everything):
    near = timedelta(hours=5)
    for zone, at, before, after in picked(everything, 1):
        if before.seconds % 60 or after.seconds % 60:
            continue  # walls that show other seconds than UTC does
        found = [each.time for each in due(make(type="cron", tz=zone.key, cron="*/15 * * * *"), at)]
        minute = at.replace(second=0, microsecond=0)
        span = [minute + timedelta(minutes=n) for n in range(-300, 301)]
        wanted = [each for each in span if abs(each - at) <= near and each.astimezone(zone).minute % 15 == 0]
        assert [each for each in found if abs(each - at) <= near] == wanted, (zone, at)


@SAMPLED
def test_an_interval_follows_elapsed_time_whatever_the_wall_shows(make, everything):
    schedule = make(type="interval", interval="1h")
    for zone, at, *_ in picked(everything):
        found = [each.time for each in due(schedule, at)]
        assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}, (zone, at)


@SAMPLED
def test_within_a_part_of_the_day_elapsed_time_counts_and_the_edges_obey_the_policy(make, everything):
    for zone, at, before, after in picked(everything, 1):
        local = time_of_day(at, before, after)
        for dst in ("once", "skip", "twice"):
            definition = {
                "type": "daily-interval",
                "tz": zone.key,
                "start": f"{local:%H:%M:%S}",
                "stop": {"daytime": f"{local:%H:%M:%S}", "date_shift": 1},
                "interval": 4800,
                "dst": dst,
            }
            found = [(each.time, each.offered) for each in due(make(definition), at)]
            assert in_order(found) == enumerated(definition, at - DAYS, at + DAYS), (zone, at, dst)
