"""What all schedules share: identity, stops, and how they are written."""

from datetime import UTC, datetime

import pytest

from apsis.jobs import JobError, parse_job
from apsis.jobs.parse import schedule_json
from apsis.schedules.registry import TYPES

START = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
EACH = {"type": "interval", "interval": "1h"}


def job(schedule, **keys):
    return parse_job("x", {"program": "true", "params": ["x"], "schedule": schedule, **keys})


def test_the_key_is_the_name_or_the_hash_of_the_definition_and_never_the_position(make):
    first, second = {**EACH, "args": {"x": "1"}}, {**EACH, "args": {"x": "2"}}
    one, two = job([first, second]), job([second, first])
    assert [each.key for each in one.schedules] == [each.key for each in reversed(two.schedules)]
    assert make(**EACH, name="hourly").key == "hourly"
    assert make(interval="1h", type="interval").key == make(type="interval", interval="1h").key


def test_two_schedules_that_are_the_same_are_an_error():
    with pytest.raises(JobError, match="same as number 1"):
        job([EACH, EACH])
    with pytest.raises(JobError, match="same as number 1"):
        job([{**EACH, "name": "a"}, {"type": "interval", "interval": "2h", "name": "a"}])


@pytest.mark.parametrize("schedule", [None, []])
def test_a_job_may_have_no_schedule(schedule):
    assert job(schedule).schedules == ()


def test_schedules_is_another_spelling():
    definition = {"program": "true", "schedules": [EACH]}
    assert len(parse_job("x", definition).schedules) == 1
    assert "schedule" in parse_job("x", definition).definition


def test_an_unknown_type_is_told_with_the_known_and_the_nearest():
    with pytest.raises(JobError) as caught:
        job({"type": "dayly"})
    message = caught.value.findings[0].message
    assert "unknown schedule type 'dayly'; known: interval, daily, daily-interval, explicit, cron" in message
    assert "did you mean 'daily'" in message
    assert "package.module.Class" in message


@pytest.mark.parametrize("name", TYPES)
def test_each_type_takes_all_common_keys(make, name):
    own = {
        "interval": {"interval": "1h"},
        "daily": {"tz": "UTC", "daytime": "10:00"},
        "daily-interval": {"tz": "UTC", "start": "10:00", "stop": "12:00", "interval": "1h"},
        "explicit": {"times": "2026-07-01T10:00:00Z"},
        "cron": {"cron": "@daily"},
    }[name]
    schedule = make(
        {"except": "Sun"},
        type=name,
        enabled=False,
        args={"x": 1},
        dst="skip",
        catch_up="last",
        max_age="1d",
        start_date="2026-01-01",
        end_date="2026-12-31",
        jitter="1m",
        late_after=30,
        name="n",
        **own,
    )
    terms = schedule.terms
    assert (terms.enabled, terms.args, terms.catch_up, terms.max_age) == (False, {"x": "1"}, "last", 86400)
    assert (terms.late_after, terms.jitter, terms.name, schedule.enabled) == (30, 60, "n", False)
    assert schedule.text


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ({"type": "duration", "duration": "90m"}, datetime(2026, 6, 30, 13, 30, tzinfo=UTC)),
        ({"type": "daytime", "daytime": "14:00", "tz": "Europe/Berlin"}, datetime(2026, 7, 1, 12, tzinfo=UTC)),
        ({"type": "daytime", "daytime": "14:01", "tz": "Europe/Berlin"}, datetime(2026, 6, 30, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_schedule_with_a_stop_says_when_its_runs_end(stop, expected):
    (schedule,) = job({"start": EACH, "stop": stop}).schedules
    assert schedule.stop_time(START) == expected
    assert schedule_json(schedule)["text"].startswith("every 1h, stop ")
    assert schedule.key != job(EACH).schedules[0].key


@pytest.mark.parametrize(
    "stop", [{"type": "never"}, {"type": "duration"}, {"type": "duration", "duration": 1, "tz": "UTC"}, "soon"]
)
def test_a_bad_stop_is_refused(stop):
    with pytest.raises(JobError):
        job({"start": EACH, "stop": stop})
