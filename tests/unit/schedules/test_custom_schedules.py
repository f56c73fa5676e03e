"""Schedules of classes that users bring: their times are told by a process of their own, and each is checked."""

import os
import time
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from apsis import extensions
from apsis.jobs import JobError, parse_job
from apsis.jobs.parse import job_json
from apsis.schedules.custom_times import BATCH, Question, ask, times_of
from apsis.times.instants import to_micros

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
HEAD = """
import os, sys, time
import apsis
from datetime import UTC, date, datetime, timedelta, timezone
HOUR = timedelta(hours=1)
"""
GOOD = """
class Hourly(apsis.Schedule):
    def __init__(self, step: float = 1.0, places=()):
        self.step = timedelta(hours=step)
        self.places = places

    def times(self, after):
        print("this is not an answer")
        begin = after.replace(minute=0, second=0, microsecond=0, tzinfo=timezone.utc)
        for n in range(1, 100_000):
            due = (begin + n * self.step).astimezone(timezone(timedelta(hours=5.5)))
            yield due, {"date": due.date(), "time": due, "n": n, "places": ",".join(self.places)}

    @property
    def text(self):
        return f"every {self.step}"


class Pairs(apsis.Schedule):
    def times(self, after):
        due = datetime(2026, 6, 30, 13, tzinfo=UTC)
        if due > after:
            yield due, {"n": 0}
        while True:
            due += HOUR
            if due > after:
                yield due, {"n": 1}
                yield due, {"n": 2}


class Twice(apsis.Schedule):
    def times(self, after):
        return [datetime(2026, 7, 1, tzinfo=UTC), (datetime(2026, 7, 2, tzinfo=UTC), {"x": "2"})]
"""
BAD = {
    "raises ZeroDivisionError: division by zero": "yield after + HOUR; 1 / 0",
    "has no zone": "yield datetime(2027, 1, 1)",
    "goes backwards": "yield after + 2 * HOUR; yield after + HOUR",
    "does not get on": "while True: yield after + HOUR",
    "not after": "while True: yield after",
    "gives int, not a datetime": "yield 5",
    "gives date, not a datetime": "yield date(2027, 1, 1)",
    "gives NoneType, nothing that can be iterated": "return None",
    "no mapping": "yield after + HOUR, [1, 2]",
    "no name of an arg": "yield after + HOUR, {1: 2}",
    "longer than 4096": "yield after + HOUR, {'x': 'x' * 5000}",
    "at most 100 names": "yield after + HOUR, {str(n): n for n in range(101)}",
    "does not answer within": "time.sleep(600); yield after",
    "ends its process (status 3)": "sys.exit(3); yield after",
    "ends its process (status -9)": "os.kill(os.getpid(), 9); yield after",
    "MemoryError": "x = bytearray(8 << 30); yield after",
    "RecursionError": "yield from self.times(after)",
}


def bad(body):
    return f"class Bad(apsis.Schedule):\n    def times(self, after):\n        {body}\n"


@pytest.fixture
def classes(tmp_path, monkeypatch):
    """A function from source to a module that the process of a class finds."""

    def made(name, source):
        (tmp_path / f"{name}.py").write_text(HEAD + source)
        return name

    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return made


def job_of(type_, **keys):
    return parse_job("x", {"program": "true", "params": ["date"], "schedule": {"type": type_, **keys}})


def test_row_custom_class_tells_its_times_and_what_it_offers(classes):
    module = classes("good_hours", GOOD)
    (schedule,) = job_of(f"{module}.Hourly", step=2, places=["a", "b"], args={"date": "1999-01-01"}).schedules
    first, second = islice(schedule.occurrences(NOW), 2)
    assert (first.time, second.time) == (NOW + timedelta(hours=2), NOW + timedelta(hours=4))
    assert first.time.tzinfo is UTC
    assert first.offered == {
        "date": "2026-06-30",
        "time": "2026-06-30T14:00:00+00:00",
        "n": "1",
        "places": "a,b",
        "schedule_time": "2026-06-30T14:00:00+00:00",
    }
    assert schedule.text == "every 2:00:00"
    assert schedule.args == {"date": "1999-01-01"}
    assert schedule.trouble == ""


def test_a_long_row_of_times_is_told_in_batches_without_a_break(classes):
    module = classes("long_hours", GOOD)
    (schedule,) = job_of(f"{module}.Hourly").schedules
    found = [each.time for each in islice(schedule.occurrences(NOW), 3 * BATCH)]
    assert found == [NOW + n * timedelta(hours=1) for n in range(1, 3 * BATCH + 1)]


def test_times_of_one_instant_are_not_torn_apart_between_two_batches(classes):
    module = classes("pairs_of_times", GOOD)
    (schedule,) = job_of(f"{module}.Pairs").schedules
    found = [each.offered["n"] for each in islice(schedule.occurrences(NOW), 2 * BATCH + 1)]
    assert found == ["0"] + BATCH * ["1", "2"]


def test_a_time_told_twice_with_the_same_names_is_an_error(classes):
    module = classes("same_twice", bad("yield after + HOUR, {'n': 1}; yield after + HOUR, {'n': 1}"))
    with pytest.raises(JobError, match="does not get on"):
        job_of(f"{module}.Bad")


def test_a_class_whose_times_end_ends(classes):
    module = classes("few_times", GOOD)
    (schedule,) = job_of(f"{module}.Twice").schedules
    assert [each.time.day for each in schedule.occurrences(NOW)] == [1, 2]
    assert list(schedule.occurrences(datetime(2026, 7, 2, tzinfo=UTC))) == []
    assert schedule.trouble == ""


def test_the_keys_of_every_schedule_are_not_given_to_the_class(classes):
    module = classes("kept_keys", GOOD)
    (schedule,) = job_of(
        f"{module}.Hourly", **{"except": "Tue"}, end_date="2026-07-01", jitter="1m", name="n", enabled=False, dst="skip"
    ).schedules
    found = list(schedule.occurrences(NOW))
    assert {each.time.date().isoformat() for each in found} == {"2026-07-01"}
    assert len(found) == 24
    assert schedule.key == "n"
    (late,) = job_of(f"{module}.Hourly", start_date="2027-01-01").schedules
    assert next(late.occurrences(NOW)).time == datetime(2027, 1, 1, tzinfo=UTC)
    (never,) = job_of(f"{module}.Hourly", **{"except": "all"}).schedules
    assert list(never.occurrences(NOW)) == []


@pytest.mark.parametrize("word", BAD)
def test_what_a_class_gives_is_checked_and_told_with_its_job(classes, word):
    number = list(BAD).index(word)
    module = classes(
        f"bad_times_{number}", f"class Bad(apsis.Schedule):\n    def times(self, after):\n        {BAD[word]}\n"
    )
    question = Question(name=f"{module}.Bad", path=f"{module}.Bad", keys={}, after=to_micros(NOW), count=20)
    begun = time.monotonic()
    answer = ask(question, 2.0 if "does not answer" in word else 30.0)
    assert word in answer.trouble
    assert f"{module}.Bad" in answer.trouble
    assert not answer.ended
    assert time.monotonic() - begun < 60


def test_a_class_that_cannot_be_used_is_a_finding_of_the_job_where_jobs_are_loaded(classes):
    module = classes(
        "raising_class", "class Bad(apsis.Schedule):\n    def times(self, after): raise OSError('no moon')\n"
    )
    with pytest.raises(JobError, match="no moon") as caught:
        job_of(f"{module}.Bad")
    (finding,) = caught.value.findings
    assert (finding.path, finding.code) == ("schedule.type", "extension")


@pytest.mark.parametrize(
    ("type_", "keys", "word"),
    [
        ("nowhere_at_all.Class", {}, "there is no module 'nowhere_at_all'"),
        ("unfit.Missing", {}, "has no 'Missing'"),
        ("unfit.Hourly", {"stpe": 2}, "did you mean 'step'"),
        ("unfit.NoTimes", {}, "times"),
        ("unfit.Stranger", {}, "apsis.Schedule"),
        ("unfit.Needs", {}, "needs the key 'phase'"),
    ],
)
def test_a_class_that_does_not_fit_is_told_with_the_remedy(classes, type_, keys, word):
    classes(
        "unfit",
        GOOD
        + "class NoTimes(apsis.Schedule): pass\nclass Stranger: pass\n"
        + "class Needs(apsis.Schedule):\n    def __init__(self, phase): pass\n    def times(self, after): return []\n",
    )
    with pytest.raises(JobError) as caught:
        job_of(type_, **keys)
    assert word in caught.value.findings[0].message


def test_a_process_that_the_class_leaves_behind_holds_up_nothing(classes):
    module = classes("leaves_some", bad("os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '97531'); yield after + HOUR"))
    question = Question(name="x", path=f"{module}.Bad", keys={}, after=to_micros(NOW), count=5)
    begun = time.monotonic()
    assert len(ask(question, 30.0).times) == 1
    assert time.monotonic() - begun < 25


def test_where_classes_are_not_imported_trouble_ends_the_schedule_and_is_shown_with_the_job(classes, monkeypatch):
    monkeypatch.setattr(extensions, "_imports", [False])
    module = classes("late_trouble", bad("yield after + HOUR; raise OSError('gone')"))
    job = job_of(f"{module}.Bad")
    found = list(job.schedules[0].occurrences(NOW))
    assert [each.time for each in found] == [NOW + timedelta(hours=1)]
    (shown,) = job_json(job)["schedules"]
    assert "gone" in shown["trouble"]
    assert shown["type"] == f"{module}.Bad"


def test_a_class_in_trouble_is_not_asked_again_at_once(classes):
    module = classes(
        "slow_trouble", "class Bad(apsis.Schedule):\n    def times(self, after):\n        raise OSError('gone')\n"
    )
    times = times_of(f"{module}.Bad", f"{module}.Bad", {})
    assert list(times.after(NOW)) == []
    begun = time.process_time(), time.monotonic()
    for _ in range(50):
        assert list(times.after(NOW + timedelta(days=1))) == []
    assert time.monotonic() - begun[1] < 5
    assert "gone" in times.trouble


def test_schedules_written_alike_share_what_the_class_has_told(classes):
    module = classes("shared_times", GOOD)
    first, second = (job_of(f"{module}.Hourly", step=3).schedules[0] for _ in range(2))
    assert first.times is second.times
    assert first.times is not job_of(f"{module}.Hourly", step=4).schedules[0].times


def test_what_was_prepared_is_there_at_once(classes, monkeypatch):
    module = classes("prepared_times", GOOD)
    (schedule,) = job_of(f"{module}.Hourly", places=["p"]).schedules
    schedule.prepare(NOW)

    def asked(*_):
        raise AssertionError("the class was asked again")

    monkeypatch.setattr("apsis.schedules.custom_times.ask", asked)
    assert schedule.outside
    assert next(schedule.occurrences(NOW)).time == NOW + timedelta(hours=1)
    assert next(schedule.occurrences(NOW + timedelta(hours=1))).time == NOW + timedelta(hours=2)
