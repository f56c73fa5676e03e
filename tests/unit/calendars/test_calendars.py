"""Calendars: weekday expressions, files, holidays, and what is made of them."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsis.calendars import CalendarError, Calendars
from apsis.calendars.weekdays import parse_weekdays

MONDAY = date(2026, 6, 29)
FILE = """\
START 2026-01-01
STOP 2027-01-01

# the days on which we are closed
2026-05-15 bridge day
2026-12-24
2026-12-31 inventory
"""


@pytest.fixture
def calendars(tmp_path):
    (tmp_path / "acme-closed.cal").write_text(FILE)
    return Calendars(tmp_path)


@pytest.mark.parametrize(
    ("text", "days", "shown"),
    [
        ("Mon", {0}, "Mon"),
        ("Mon-Fri", {0, 1, 2, 3, 4}, "Mon-Fri"),
        ("mon,WED", {0, 2}, "Mon,Wed"),
        ("Mon-Wed,Sat", {0, 1, 2, 5}, "Mon-Wed,Sat"),
        ("monday-friday", {0, 1, 2, 3, 4}, "Mon-Fri"),
        ("Fri-Mon", {4, 5, 6, 0}, "Mon,Fri-Sun"),
        (" Sat , Sun ", {5, 6}, "Sat,Sun"),
    ],
)
def test_a_weekday_expression_is_read(text, days, shown):
    calendar = parse_weekdays(text)
    assert calendar.days == days
    assert str(calendar) == shown
    assert parse_weekdays(shown).days == days


@pytest.mark.parametrize("text", ["", "Mo", "Mon-", "-Fri", "Mon,,Tue", "Mon-Tue-Wed", "weekday"])
def test_what_is_no_weekday_expression_is_none(text):
    assert parse_weekdays(text) is None


def test_all_and_none_have_every_date_and_no_date(calendars):
    assert MONDAY in calendars.get("all")
    assert MONDAY not in calendars.get("none")
    assert (str(calendars.get("all")), str(calendars.get("none"))) == ("all days", "no days")
    with pytest.raises(CalendarError):
        calendars.get("none").after(MONDAY)


def test_a_calendar_file_has_its_dates_and_notes(calendars):
    calendar = calendars.get("acme-closed")
    assert date(2026, 5, 15) in calendar
    assert date(2026, 5, 16) not in calendar
    assert calendar.notes == {date(2026, 5, 15): "bridge day", date(2026, 12, 31): "inventory"}
    assert calendar.after(date(2026, 5, 15)) == date(2026, 5, 15)
    assert calendar.before(date(2026, 12, 30)) == date(2026, 12, 24)
    assert calendar.shift(date(2026, 5, 15), 2) == date(2026, 12, 31)


def test_a_calendar_does_not_speak_for_dates_outside_of_its_range(calendars):
    calendar = calendars.get("acme-closed")
    with pytest.raises(CalendarError, match="2027-01-01"):
        calendar.contains(date(2027, 1, 1))
    with pytest.raises(CalendarError):
        calendar.shift(date(2026, 12, 31), 1)


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        ("START 2026-01-01\nSTOP soon\n", 2, "soon"),
        ("2026-01-01\n\ntomorrow off\n", 3, "tomorrow"),
        ("START 2026-01-01\nSTOP 2026-02-01\n2026-02-01\n", 3, "STOP"),
        ("", 0, "no dates"),
        ("2026-02-30\n", 1, "2026-02-30"),
    ],
)
def test_a_bad_line_of_a_calendar_file_is_told_with_its_number(tmp_path, content, line, word):
    (tmp_path / "bad.cal").write_text(content)
    with pytest.raises(CalendarError, match=word) as caught:
        Calendars(tmp_path).get("bad")
    assert caught.value.line == line


@pytest.mark.parametrize("name", ["acme-close", "../acme-closed", "nothing", "exchange:", "a/b", "\0"])
def test_an_unknown_calendar_is_refused_with_what_there_is(calendars, name):
    with pytest.raises(CalendarError) as caught:
        calendars.get(name)
    assert caught.value.hint


def test_a_mistyped_calendar_is_told_with_the_nearest(calendars):
    with pytest.raises(CalendarError, match="did you mean 'acme-closed'"):
        calendars.get("acme-close")


def test_holidays_and_workdays_complement_each_other_on_weekdays(calendars):
    off, on = calendars.get("holidays:US"), calendars.get("workdays:US")
    assert date(2026, 7, 3) in off
    assert date(2026, 7, 3) not in on
    assert date(2026, 7, 4) not in on
    assert date(2026, 7, 6) in on
    assert date(2026, 5, 25) in calendars.get("holidays:GB-ENG")


@pytest.mark.parametrize("name", ["holidays:ZZ", "workdays:GB-XYZ", "holidays:"])
def test_an_unknown_country_is_refused(calendars, name):
    with pytest.raises(CalendarError, match="no holidays"):
        calendars.get(name)


def test_an_expression_adds_and_takes_away_from_left_to_right(calendars):
    calendar = calendars.get("Mon-Fri - acme-closed + 2026-12-24")
    assert date(2026, 12, 24) in calendar
    assert date(2026, 12, 31) not in calendar
    assert date(2026, 12, 30) in calendar
    assert date(2026, 12, 26) not in calendar
    assert calendar.stop == date(2027, 1, 1)
    assert calendar.digest


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.sets(st.integers(0, 6), min_size=1), st.integers(-40, 40))
def test_shifting_there_and_back_leads_to_the_same_date(day, days, count):
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    calendar = parse_weekdays(",".join(names[each] for each in days))
    start = calendar.after(day)
    assert calendar.shift(calendar.shift(start, count), -count) == start


@given(st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.sets(st.integers(0, 6), min_size=1))
def test_before_and_after_are_inclusive_and_nearest(day, days):
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    calendar = parse_weekdays(",".join(names[each] for each in days))
    week = [day + timedelta(days=n) for n in range(-7, 8)]
    assert calendar.after(day) == min(each for each in week if each >= day and each.weekday() in days)
    assert calendar.before(day) == max(each for each in week if each <= day and each.weekday() in days)
