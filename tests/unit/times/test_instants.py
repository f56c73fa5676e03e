"""Instants: how they are read, and how they are shown in any zone at any precision."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsis.definitions.fields import FormError
from apsis.times import from_micros, parse_time, to_micros
from apsis.times.instants import format_in, read_time
from apsis.times.local import Wall, in_order, wall

INSTANT = datetime(2026, 6, 30, 14, 32, 7, 129999, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("zone", "digits", "expected"),
    [
        ("UTC", 0, "2026-06-30T14:32:07+00:00"),
        ("Europe/Berlin", 0, "2026-06-30T16:32:07+02:00"),
        ("Europe/Berlin", 1, "2026-06-30T16:32:07.1+02:00"),
        ("Europe/Berlin", 3, "2026-06-30T16:32:07.129+02:00"),
        ("Europe/Berlin", 6, "2026-06-30T16:32:07.129999+02:00"),
        ("America/St_Johns", 2, "2026-06-30T12:02:07.12-02:30"),
        ("Asia/Kathmandu", 0, "2026-06-30T20:17:07+05:45"),
    ],
)
def test_an_instant_is_shown_in_any_zone_at_a_precision_and_never_rounded_up(zone, digits, expected):
    assert format_in(INSTANT, ZoneInfo(zone), digits) == expected


def test_an_offset_with_seconds_is_shown_whole():
    # what tzdata says of 1900 differs from one packaging of it to another
    shown = format_in(datetime(1900, 1, 1, tzinfo=UTC), timezone(timedelta(hours=-1, minutes=-2, seconds=-3)))
    assert shown == "1899-12-31T22:57:57-01:02:03"


@pytest.mark.parametrize("digits", [-1, 7])
def test_a_precision_that_there_is_not_is_an_error(digits):
    with pytest.raises(ValueError, match="0 to 6 digits"):
        format_in(INSTANT, UTC, digits)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.integers(0, 6))
def test_a_shown_instant_reads_as_itself_up_to_its_precision(instant, digits):
    read = datetime.fromisoformat(format_in(instant, BERLIN, digits))
    assert timedelta(0) <= instant - read < timedelta(seconds=10**-digits)
    assert from_micros(to_micros(instant)) == instant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-30T14:32:07Z", "2026-06-30T14:32:07"),
        ("2026-06-30T14:32Z", "2026-06-30T14:32:00"),
        ("2026-06-30 14:32:07 +02:00", "2026-06-30T12:32:07"),
        ("2026-06-30 14:32:07 Z", "2026-06-30T14:32:07"),
        ("2026-06-30T14:32:07.25-0430", "2026-06-30T19:02:07.250"),
        ("2026-06-30 14:32:07   +02:00", "2026-06-30T12:32:07"),
        ("2026-06-30T14:32:07.25 +02", "2026-06-30T12:32:07.250"),
        (" 20260630T143207Z ", "2026-06-30T14:32:07"),
    ],
)
def test_row_times_are_iso_8601_with_an_offset(text, expected):
    assert read_time(text) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-06-30T14:32:07", "2026-06-30", "2026-06-30 14:32"])
def test_row_times_without_an_offset_are_an_error_that_shows_how_to_write_one(text):
    with pytest.raises(FormError, match=r"has no offset; write .*Z if it is UTC"):
        read_time(text)


@pytest.mark.parametrize(
    "value", ["", "soon", "14:30", 5, None, True, [], {}, "2026-02-30T00:00Z", "9999-12-31T23:00-12:00"]
)
def test_what_is_no_time_is_refused(value):
    with pytest.raises(FormError):
        read_time(value)
    if isinstance(value, str):
        with pytest.raises(ValueError):
            parse_time(value)


@given(st.text(max_size=30))
def test_any_text_is_read_as_a_time_or_refused_with_a_form_error(text):
    with contextlib.suppress(FormError):
        assert read_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    ("instant", "daytime", "turn"),
    [
        ("2026-10-25T00:30", "02:30:00", 1),
        ("2026-10-25T01:30", "02:30:00", 2),
        ("2026-10-25T02:30", "03:30:00", 0),
        ("2026-03-29T01:00", "03:00:00", 0),
    ],
)
def test_the_wall_says_which_of_two_occurrences_it_shows(instant, daytime, turn):
    shown = wall(datetime.fromisoformat(instant).replace(tzinfo=UTC), BERLIN)
    assert isinstance(shown, Wall)
    assert (f"{shown.daytime}", shown.turn) == (daytime, turn)


def test_second_occurrences_come_after_all_first_ones():
    def at(*minutes):
        return [datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=each) for each in minutes]

    found = in_order([(at(0, 60), "a"), ([], "b"), (at(30, 90), "c"), (at(60), "d"), (at(61), "e")])
    assert [(instant.hour * 60 + instant.minute, item) for instant, item in found] == [
        (0, "a"),
        (30, "c"),
        (60, "a"),
        (60, "d"),
        (61, "e"),
        (90, "c"),
    ]
