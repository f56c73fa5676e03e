"""Two thousand schedules made up at random: none loops, repeats or goes backwards, and each is as enumerated."""

import time
from datetime import timedelta
from itertools import islice
from random import Random

import pytest
from enumeration import enumerated, in_order
from generated import definition, moment

#: occurrences looked at, and days
COUNT = 40
SPAN = timedelta(days=5)
#: seconds of CPU that the occurrences of one schedule may take; they take some milliseconds
PATIENCE = 3.0
SEEDS = 2000
CHUNK = 100


def found(schedule, after):
    """Return the first occurrences after an instant, and up to where they are all."""
    occurrences = []
    for each in schedule.occurrences(after):
        if each.time > after + SPAN:
            return occurrences, after + SPAN
        if len(occurrences) >= COUNT and each.time > occurrences[-1][0]:
            return occurrences, occurrences[-1][0]
        occurrences.append((each.time, each.offered))
    return occurrences, after + SPAN


def check(make, seed):
    random = Random(seed)
    made, after = definition(random), moment(random)
    note = f"seed {seed}: {made} after {after}"
    schedule = make(made)
    begun = time.process_time()
    occurrences, until = found(schedule, after)
    assert time.process_time() - begun < PATIENCE, f"slow: {note}"
    times = [each for each, _ in occurrences]
    assert times == sorted(times), f"goes backwards: {note}"
    assert all(each > after for each in times), f"not after: {note}"
    told = [(each, tuple(sorted(offered.items()))) for each, offered in occurrences]
    assert len(set(told)) == len(told), f"repeats: {note}"
    expected = enumerated(made, after, until, schedule.shift)
    assert in_order(occurrences) == expected, note
    if occurrences:
        middle = times[len(times) // 2]
        again = list(islice(schedule.occurrences(middle), COUNT))
        rest = [each for each in occurrences if each[0] > middle]
        assert [(each.time, each.offered) for each in again][: len(rest)] == rest, f"goes on otherwise: {note}"


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_generated_schedules_are_due_as_a_slow_enumeration_says(make, first):
    for seed in range(first, first + CHUNK):
        check(make, seed)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_many_more_generated_schedules_are_due_as_a_slow_enumeration_says(make):
    for seed in range(SEEDS, 20 * SEEDS):
        check(make, seed)


def test_each_type_and_policy_is_among_the_generated():
    made = [definition(Random(seed)) for seed in range(SEEDS)]
    kinds = {"interval", "daily", "daily-interval", "explicit", "cron"}
    assert all(sum(each["type"] == kind for each in made) > SEEDS / 10 for kind in kinds)
    assert {each.get("dst") for each in made} == {"once", "skip", "twice", None}
    assert sum("jitter" in each for each in made) > 100
