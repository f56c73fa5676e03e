"""Each form of a calendar, by the example of its own in docs/jobs/calendars."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import pytest

from apsis.calendars import CalendarError, Calendars
from apsis.calendars.exchange import Sessions, exchange_calendar
from apsis.jobs import expand, load_jobs

DOCS = Path(__file__).parents[3] / "docs" / "jobs"
NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
TODAY = date(2026, 6, 30)


@pytest.fixture(scope="module")
def jobs():
    return load_jobs(DOCS).jobs


def dates(job, index=0, count=4):
    return [each.offered["date"] for each in islice(job.schedules[index].occurrences(NOW), count)]


def test_row_all_and_none(jobs):
    found = jobs["calendars/all-and-none"]
    assert dates(found, 0, 3) == ["2026-07-01", "2026-07-02", "2026-07-03"]
    assert dates(found, 1) == []
    assert [str(each.calendar) for each in found.schedules] == ["all days", "no days"]


def test_row_file(jobs):
    found = jobs["calendars/file"]
    assert dates(found) == ["2026-12-24", "2026-12-31", "2030-12-24"]
    calendar = found.schedules[0].calendar
    assert calendar.notes == {date(2026, 5, 15): "bridge day", date(2026, 12, 31): "inventory"}
    assert (calendar.start, calendar.stop) == (date(2020, 1, 1), date(2040, 1, 1))


def test_row_holidays(jobs):
    found = jobs["calendars/holidays"]
    assert dates(found, 0) == ["2026-07-03", "2026-07-04", "2026-09-07", "2026-10-12"]
    assert dates(found, 1) == ["2026-08-31", "2026-12-25", "2026-12-26", "2026-12-28"]


def test_row_workdays(jobs):
    assert dates(jobs["calendars/workdays"], count=5) == [
        "2026-06-30", "2026-07-01", "2026-07-02", "2026-07-06", "2026-07-07",
    ]  # fmt: skip


def test_row_expression(jobs):
    calendar = jobs["calendars/expression"].schedules[0].calendar
    assert date(2026, 5, 15) not in calendar
    assert date(2026, 12, 31) not in calendar
    assert date(2026, 12, 24) in calendar
    assert date(2026, 12, 30) in calendar


def test_row_calendar_methods_in_templates(jobs):
    job = jobs["calendars/in-templates"]
    program = expand(job, "r1", {"date": "2026-12-24"}, NOW).program
    assert list(program.to_process().argv[1:]) == ["2026-12-24", "2026-12-23", "2026-12-23"]


def test_row_calendar_before_and_after_are_inclusive_and_shift_counts_its_dates():
    calendar = Calendars().get("Mon-Fri")
    saturday, monday = date(2026, 7, 4), date(2026, 7, 6)
    assert (calendar.before(saturday), calendar.after(saturday)) == (date(2026, 7, 3), monday)
    assert (calendar.before(monday), calendar.after(monday)) == (monday, monday)
    assert (calendar.shift(monday, 3), calendar.shift(monday, -1), calendar.shift(monday, 0)) == (
        date(2026, 7, 9),
        date(2026, 7, 3),
        monday,
    )


@pytest.mark.parametrize("where", ["calendar", "except"])
def test_row_a_calendar_that_ends_warns_thirty_days_before(tmp_path, where):
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "short.cal").write_text("START 2026-01-01\nSTOP 2026-07-30\n2026-07-29\n")
    (tmp_path / "job.yaml").write_text(
        f"program: 'true'\nschedule: {{type: daily, tz: UTC, daytime: '10:00', {where}: short}}\n"
    )
    (warning,) = load_jobs(tmp_path, today=TODAY).errors
    assert (warning.severity, warning.code) == ("warning", "calendar_ends")
    assert "2026-07-30" in warning.message
    assert load_jobs(tmp_path, today=TODAY - timedelta(days=1)).errors == []


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        ("START  2026-01-01\nSTOP\t2027-01-01\n\n2026-05-15\tnote\n", None, None),
        ("start 2026-01-01\nstop 2027-01-01\n", None, None),
        ("\ufeffSTART 2026-01-01\nSTOP 2027-01-01\n", None, None),
        ("START 2026-01-01\nSTART 2026-02-01\nSTOP 2027-01-01\n", 2, "twice"),
        ("START 2027-01-01\nSTOP 2026-01-01\n", 0, "not after START"),
        ("START\nSTOP 2026-01-01\n", 1, "got ''"),
        ("20260515\n", 1, "20260515"),
        ("2026-W10-1\n", 1, "2026-W10-1"),
        ("2026-05-15,note\n", 1, "2026-05-15,note"),
        ("END 2026-01-01\n", 1, "END"),
    ],
)
def test_a_calendar_file_is_read_in_columns_and_a_bad_line_is_told(tmp_path, content, line, word):
    (tmp_path / "some.cal").write_text(content)
    if word is None:
        assert Calendars(tmp_path).get("some").stop == date(2027, 1, 1)
        return
    with pytest.raises(CalendarError, match=word) as caught:
        Calendars(tmp_path).get("some")
    assert caught.value.line == line


def test_holidays_end_where_the_library_knows_no_more():
    calendar = Calendars().get("workdays:US")
    with pytest.raises(CalendarError, match="does not speak for"):
        calendar.contains(date(2500, 1, 1))
    assert calendar.stop is not None


def test_a_calendar_of_an_expression_that_names_a_missing_one_says_which():
    with pytest.raises(CalendarError, match="'nowhere'"):
        Calendars().get("workdays:US - nowhere")
    with pytest.raises(CalendarError, match="no holidays of 'UX'"):
        Calendars().get("Mon-Fri - holidays:UX")


def test_row_exchange_without_its_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("apsis.calendars.exchange._ask", lambda place: Sessions(missing=True))
    with pytest.raises(CalendarError, match="not installed") as caught:
        Calendars().get("exchange:XNYS")
    assert "pip install 'apsis[exchanges]'" in caught.value.hint


def test_row_exchange_finds_out_in_a_process_of_its_own_whether_there_is_the_package(tmp_path):
    # without its packages, a Python has no exchange_calendars, wherever the tests are run
    (tmp_path / "exchange_calendars.py").write_text("raise ModuleNotFoundError('no such package')\n")
    out = subprocess.run(
        [sys.executable, "-m", "apsis.calendars.exchange", "XNYS"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=True,
        cwd="/",
    )
    assert b'"missing":true' in out.stdout


@pytest.mark.parametrize("place", ["", "../x", "a b", "x" * 40, "XNYS;"])
def test_what_is_no_name_of_an_exchange_is_refused_before_anything_is_asked(place):
    with pytest.raises(CalendarError, match="is no exchange"):
        exchange_calendar(place)


@pytest.fixture
def exchanges():
    if find_spec("exchange_calendars") is None:
        why = "the optional package exchange_calendars is not installed: pip install 'apsis[exchanges]'"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)


@pytest.mark.usefixtures("exchanges")
def test_row_exchange_has_the_sessions_of_an_exchange():
    calendar = Calendars().get("exchange:XNYS")
    assert date(2026, 7, 2) in calendar
    assert date(2026, 7, 3) not in calendar
    assert date(2026, 11, 26) not in calendar
    assert calendar.shift(date(2026, 7, 2), 1) == date(2026, 7, 6)
    assert date(2026, 11, 27) not in Calendars().get("exchange:XNYS - 2026-11-27")
    with pytest.raises(CalendarError, match="did you mean"):
        Calendars().get("exchange:XNYZ")
