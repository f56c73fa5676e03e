"""Each row of the table of schedules, by the example of its own in docs/jobs/schedules."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from apsis.jobs import JobError, bind_args, load_jobs, parse_job

DOCS = Path(__file__).parents[3] / "docs" / "jobs"
NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)  # a Tuesday


@pytest.fixture(scope="module")
def loaded():
    """The jobs of the examples, none with a finding."""
    found = load_jobs(DOCS)
    assert wrong(found) == []
    return found.jobs


def wrong(found):
    """Return what is found wrong with the examples of schedules, but for the one whose class is not installed here."""
    own = [each for each in found.errors if each.file.startswith(("schedules/", "calendars/"))]
    return [str(each) for each in own if each.code != "extension"]


@pytest.fixture
def runs(loaded):
    """A function from the name of an example to the first runs of one of its schedules: due time, and args."""

    def made(name, index=0, count=3, after=NOW):
        job = loaded[f"schedules/{name}"]
        schedule = job.schedules[index]
        found = islice(schedule.occurrences(after), count)
        return [(f"{each.time:%Y-%m-%d %H:%M:%S}", bind_args(job, schedule, each)) for each in found]

    return made


def times(found):
    return [time for time, _ in found]


def refused(definition, **keys):
    with pytest.raises(JobError) as caught:
        parse_job("x", {"program": "true", "params": ["x"], "schedule": {**definition, **keys}})
    return " ".join(finding.message for finding in caught.value.findings)


def test_row_interval(runs):
    assert runs("interval", count=2) == [
        ("2026-06-30 12:05:00", {"time": "2026-06-30T12:05:00+00:00", "date": "2026-06-30", "daytime": "12:05:00"}),
        ("2026-06-30 12:20:00", {"time": "2026-06-30T12:20:00+00:00", "date": "2026-06-30", "daytime": "12:20:00"}),
    ]


def test_row_daily(runs):
    assert runs("daily", count=3, after=datetime(2026, 7, 3, 14, tzinfo=UTC)) == [
        (
            "2026-07-03 20:00:00",
            {
                "date": "2026-07-03",
                "time": "2026-07-03T20:00:00+00:00",
                "daytime": "16:00:00",
                "calendar": "Mon-Fri",
                "tz": "America/New_York",
            },
        ),
        (
            "2026-07-06 13:30:00",
            {
                "date": "2026-07-06",
                "time": "2026-07-06T13:30:00+00:00",
                "daytime": "09:30:00",
                "calendar": "Mon-Fri",
                "tz": "America/New_York",
            },
        ),
        (
            "2026-07-06 20:00:00",
            {
                "date": "2026-07-06",
                "time": "2026-07-06T20:00:00+00:00",
                "daytime": "16:00:00",
                "calendar": "Mon-Fri",
                "tz": "America/New_York",
            },
        ),
    ]


def test_row_daily_shifts_are_calendar_days_then_days_then_the_zone_then_seconds(runs):
    found = runs("shifts", count=4)
    assert found == [
        ("2026-06-30 17:50:00", {"date": "2026-06-30", "schedule_time": "2026-06-30T17:50:00+00:00"}),
        ("2026-07-01 17:50:00", {"date": "2026-07-01", "schedule_time": "2026-07-01T17:50:00+00:00"}),
        ("2026-07-02 17:50:00", {"date": "2026-07-02", "schedule_time": "2026-07-02T17:50:00+00:00"}),
        ("2026-07-05 17:50:00", {"date": "2026-07-03", "schedule_time": "2026-07-05T17:50:00+00:00"}),
    ]


def test_row_daily_shifts_may_stand_in_quotes(make):
    quoted = make(type="daily", tz="UTC", daytime="10:00", date_shift="-1", cal_shift="+2", time_shift="3600")
    assert (quoted.date_shift, quoted.cal_shift, quoted.time_shift) == (-1, 2, 3600.0)


def test_row_daily_time_is_nominal_and_unshifted_while_schedule_time_is_when_it_is_due(make):
    schedule = make(type="daily", tz="UTC", daytime="10:00", date_shift=-1, time_shift="1h")
    offered = next(schedule.occurrences(NOW)).offered
    assert (offered["date"], offered["time"]) == ("2026-07-02", "2026-07-02T10:00:00+00:00")
    assert offered["schedule_time"] == "2026-07-01T11:00:00+00:00"


def test_row_daily_interval(runs):
    found = runs("daily-interval", count=6)
    assert times(found) == [f"2026-07-01 {each}:00" for each in ("00:00", "00:30", "01:00", "01:30", "02:00")] + [
        "2026-07-02 00:00:00"
    ]
    assert found[4][1] == {
        "date": "2026-07-01",
        "sched_date": "2026-07-01",
        "time": "2026-07-01T02:00:00+00:00",
        "daytime": "11:00:00",
        "calendar": "Mon-Fri",
        "tz": "Asia/Tokyo",
    }


def test_row_daily_interval_with_shifted_edges(runs):
    found = runs("daily-interval", 1, count=4, after=datetime(2026, 7, 3, 12, tzinfo=UTC))
    assert times(found) == ["2026-07-03 13:00:00", "2026-07-03 15:00:00", "2026-07-03 17:00:00", "2026-07-06 13:00:00"]
    assert [(args["date"], args["sched_date"]) for _, args in found] == [
        ("2026-07-03", "2026-07-03"),
        ("2026-07-03", "2026-07-04"),
        ("2026-07-03", "2026-07-04"),
        ("2026-07-06", "2026-07-06"),
    ]


def test_row_daily_interval_with_calendar_days_before(make):
    # from 22:00 of the date of the calendar before, every six hours until noon: over the weekend, and a changed clock
    edges = {"start": {"daytime": "22:00:00", "cal_shift": -1}, "stop": "12:00:00"}
    keys = {"type": "daily-interval", "tz": "America/New_York", "calendar": "Mon-Fri", "interval": 21600}
    found = islice(make(edges, **keys).occurrences(datetime(2022, 11, 4, 15, tzinfo=UTC)), 7)
    assert [each.time.isoformat()[5:16] for each in found] == [
        "11-05T02:00",
        "11-05T08:00",
        "11-05T14:00",
        "11-05T20:00",
        "11-06T02:00",
        "11-06T08:00",
        "11-06T14:00",
    ]


def test_parts_of_days_that_overlap_come_in_order(make):
    edges = {"start": "20:00", "stop": {"daytime": "22:00", "date_shift": 1}}
    schedule = make(edges, type="daily-interval", tz="UTC", interval="3h")
    found = list(islice(schedule.occurrences(NOW), 30))
    assert [each.time for each in found] == sorted(each.time for each in found)
    assert len({(each.time, each.offered["date"]) for each in found}) == len(found)
    # at 20:00 a part begins, and the one of the day before goes on an hour later
    assert [(each.time.hour, each.offered["date"]) for each in found[:4]] == [
        (14, "2026-06-29"),
        (17, "2026-06-29"),
        (20, "2026-06-29"),
        (20, "2026-06-30"),
    ]


def test_row_explicit(runs):
    assert runs("explicit", count=9) == [
        ("2030-01-01 00:00:00", {"time": "2030-01-01T00:00:00+00:00"}),
        ("2030-03-04 09:00:00", {"time": "2030-03-04T09:00:00+00:00"}),
        ("2031-06-30 16:00:00", {"time": "2031-06-30T16:00:00.250000+00:00"}),
    ]


def test_row_explicit_takes_a_single_time_and_each_time_once(make):
    (only,) = make(type="explicit", times="2030-01-01T00:00:00Z").occurrences(NOW)
    assert only.time == datetime(2030, 1, 1, tzinfo=UTC)
    twice = make(type="explicit", times=["2030-01-01T00:00:00Z", "2030-01-01T01:00:00+01:00"])
    assert len(list(twice.occurrences(NOW))) == 1


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, ["2026-07-01 04:30:00", "2026-07-02 04:30:00", "2026-07-03 04:30:00", "2026-07-06 04:30:00"]),
        (1, ["2026-07-04 04:30:15", "2026-07-11 04:30:15", "2026-07-18 04:30:15", "2026-07-25 04:30:15"]),
        (2, ["2026-07-31 07:00:00", "2026-08-31 07:00:00", "2026-09-30 07:00:00", "2026-10-31 08:00:00"]),
        (3, ["2026-07-15 07:00:00", "2026-08-14 07:00:00", "2026-09-15 07:00:00", "2026-10-15 07:00:00"]),
        (4, ["2026-07-13 07:00:00", "2026-08-10 07:00:00", "2026-09-14 07:00:00", "2026-10-12 07:00:00"]),
        (5, ["2026-07-01 00:00:00", "2026-08-01 00:00:00", "2026-09-01 00:00:00", "2026-10-01 00:00:00"]),
    ],
)
def test_row_cron(runs, index, expected):
    assert times(runs("cron", index, 4)) == expected


def test_row_cron_offers_what_a_daily_schedule_does(runs):
    ((_, args),) = runs("cron", 4, 1)
    assert args == {
        "date": "2026-07-13",
        "time": "2026-07-13T07:00:00+00:00",
        "daytime": "09:00:00",
        "calendar": "workdays:DE",
        "tz": "Europe/Berlin",
    }


@pytest.mark.parametrize(
    ("policy", "spring", "autumn"),
    [
        ("once", ["2026-03-28 01:30:00", "2026-03-29 01:00:00"], ["2026-10-25 00:30:00", "2026-10-26 01:30:00"]),
        ("skip", ["2026-03-28 01:30:00", "2026-03-30 00:30:00"], ["2026-10-25 00:30:00", "2026-10-26 01:30:00"]),
        ("twice", ["2026-03-28 01:30:00", "2026-03-29 01:00:00"], ["2026-10-25 00:30:00", "2026-10-25 01:30:00"]),
    ],
)
def test_key_dst(runs, policy, spring, autumn):
    index = ("once", "skip", "twice").index(policy)
    assert times(runs("dst", index, 2, datetime(2026, 3, 27, 12, tzinfo=UTC))) == spring
    assert times(runs("dst", index, 2, datetime(2026, 10, 24, 12, tzinfo=UTC))) == autumn


def test_keys_that_every_schedule_has(loaded):
    (schedule,) = loaded["schedules/common-keys"].schedules
    terms = schedule.terms
    assert (schedule.key, schedule.enabled, schedule.args) == ("early", True, {"region": "eu"})
    assert (terms.catch_up, terms.max_age, terms.late_after) == ("last", 172800, 600)
    found = [each.time for each in islice(schedule.occurrences(datetime(2025, 12, 1, tzinfo=UTC)), 4)]
    delay = found[0] - datetime(2026, 1, 1, 6, tzinfo=UTC)
    assert timedelta(0) <= delay < timedelta(minutes=5)
    assert [each - delay for each in found] == [datetime(2026, 1, day, 6, tzinfo=UTC) for day in (1, 2, 5, 6)]
    assert list(schedule.occurrences(datetime(2036, 1, 1, tzinfo=UTC))) == []


def test_key_jitter_is_a_hash_of_job_and_args_alone(make):
    keys = {"type": "daily", "tz": "UTC", "daytime": "06:00", "jitter": "5 min"}
    delays = {
        (job_id, arg): make(keys, job_id=job_id, args={"x": arg}).shift for job_id in ("a", "b") for arg in ("1", "2")
    }
    assert len(set(delays.values())) == 4
    assert make(keys, job_id="a", args={"x": "1"}, calendar="Mon").shift == delays["a", "1"]


def test_key_args_names_that_are_not_params_are_an_error():
    assert "no param 'y'" in refused({"type": "interval", "interval": 60, "args": {"y": 1}})


def test_row_schedule_may_be_a_list_of_several(loaded, runs):
    assert runs("several", 0, 1) == [("2026-06-30 16:30:00", {"date": "2026-06-30", "region": "eu"})]
    assert runs("several", 1, 1) == [("2026-06-30 21:00:00", {"date": "2000-01-01", "region": "us"})]
    assert [each.enabled for each in loaded["schedules/several"].schedules] == [True, True, False]


def test_row_stop_duration(loaded):
    (schedule,) = loaded["schedules/stop-duration"].schedules
    first = next(schedule.occurrences(NOW))
    assert schedule.stop_time(first.time) == first.time + timedelta(hours=8)


def test_row_stop_daytime_is_the_next_one_strictly_after(loaded):
    (schedule,) = loaded["schedules/stop-daytime"].schedules
    first = next(schedule.occurrences(NOW))
    stop = datetime(2026, 7, 1, 16, tzinfo=UTC)
    assert (first.time, schedule.stop_time(first.time)) == (datetime(2026, 7, 1, 8, 30, tzinfo=UTC), stop)
    assert schedule.stop_time(stop) == stop + timedelta(days=1)
    assert schedule.stop_time(stop - timedelta(microseconds=1)) == stop


def test_schedule_time_is_offered_by_all(loaded):
    for name in ("interval", "daily", "daily-interval", "explicit", "cron"):
        for schedule in loaded[f"schedules/{name}"].schedules:
            found = next(schedule.occurrences(NOW))
            assert found.offered["schedule_time"] == found.time.isoformat()


def test_row_durations(loaded):
    found = [each.interval / 1e6 for each in loaded["schedules/durations"].schedules]
    assert found == [5400, 5401, 600, 5400, 86400, 5400, 2 * 86400 + 3 * 3600]


def test_row_daytimes(runs):
    found = runs("daytimes", count=7)
    assert [args["daytime"] for _, args in found] == [
        "08:15:00",
        "10:30:00",
        "10:30:00.25",
        "10:30:01",
        "10:30:02",
        "10:30:02.5",
        "10:31:00",
    ]


def test_row_daytimes_an_unquoted_half_past_ten_in_a_file_is_an_error_that_shows_both_spellings(tmp_path):
    text = "program: 'true'\nschedule: {type: daily-interval, tz: UTC, start: 10:30, stop: 18:00:00, interval: 60}\n"
    (tmp_path / "job.yaml").write_text(text)
    (finding,) = load_jobs(tmp_path).errors
    assert '"10:30"' in finding.message
    assert "10:30:00" in finding.message
    assert "00:10:30" in finding.message
    assert (finding.line, finding.path) == (2, "schedule.start")


def test_row_zones(loaded):
    found = [next(each.occurrences(NOW)).time for each in loaded["schedules/zones"].schedules]
    assert [f"{each:%d %H:%M}" for each in found] == ["01 12:00", "01 10:00", "30 15:00", "01 06:15"]
    assert "did you mean 'Europe/Berlin'" in refused({"type": "daily", "tz": "Berlin", "daytime": "10:00"})


def test_row_weekdays(loaded):
    def dates(schedule):
        return [f"{each.time:%a}" for each in islice(schedule.occurrences(NOW), 7)]

    found = loaded["schedules/weekdays"].schedules
    assert [set(dates(each)) for each in found] == [
        {"Mon"},
        {"Mon", "Tue", "Wed", "Thu", "Fri"},
        {"Mon", "Wed"},
        {"Mon", "Tue", "Wed", "Sat"},
        {"Tue", "Wed", "Thu", "Sun"},
    ]
    assert [str(each.calendar) for each in found] == ["Mon", "Mon-Fri", "Mon,Wed", "Mon-Wed,Sat", "Tue-Thu,Sun"]


def test_the_examples_are_loaded_without_a_warning_of_calendars_that_end():
    assert wrong(load_jobs(DOCS, today=date(2026, 6, 30))) == []
