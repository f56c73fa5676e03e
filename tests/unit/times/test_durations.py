"""Durations and times of day: what is read, and what is refused with a word on how to write it."""

import contextlib
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsis.definitions.fields import FormError
from apsis.times.daytimes import Sexagesimal, parse_daytime, show_daytime
from apsis.times.durations import parse_duration, show_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (0, 0),
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("10 min", 600),
        ("10min", 600),
        ("1.5h", 5400),
        ("1 day", 86400),
        ("2 DAYS", 172800),
        ("1h30m", 5400),
        ("1d 2h 3m 4s", 93784),
        (" 5 Seconds ", 5),
        ("0.25s", 0.25),
    ],
)
def test_a_duration_is_read_in_each_of_its_forms(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "-5",
        -5,
        "-1h",
        "1 fortnight",
        "1m30h",
        "1h1h",
        "h1",
        "1h 30",
        "nan",
        "inf",
        float("inf"),
        "1e3s",
        True,
        None,
        [],
        "10,5s",
        "9999999d",
    ],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(FormError):
        parse_duration(text)


@given(st.integers(0, 10**9).map(lambda millis: millis / 1000))
def test_a_shown_duration_reads_as_itself(seconds):
    assert parse_duration(show_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@given(st.text(max_size=20))
def test_any_text_is_read_as_a_duration_or_refused_with_a_form_error(text):
    with contextlib.suppress(FormError):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10:30:00", time(10, 30)),
        ("10:30", time(10, 30)),
        ("9:05", time(9, 5)),
        ("23:59:59.25", time(23, 59, 59, 250000)),
        (37800, time(10, 30)),
        (0, time(0)),
        (86399.5, time(23, 59, 59, 500000)),
        (Sexagesimal(37800, "10:30:00"), time(10, 30)),
    ],
)
def test_a_daytime_is_read_in_each_of_its_forms(value, expected):
    assert parse_daytime(value) == expected


@pytest.mark.parametrize(
    "value", ["24:00", "10:60", "1030", "", "10:30:00Z", 86400, -1, True, None, [], "noon", "١٠:٣٠:zz"]
)
def test_what_is_no_daytime_is_refused(value):
    with pytest.raises(FormError):
        parse_daytime(value)


def test_an_unquoted_half_past_ten_is_an_error_that_shows_both_ways_to_write_it():
    with pytest.raises(FormError) as caught:
        parse_daytime(Sexagesimal(630, "10:30"))
    assert "630" in str(caught.value)
    assert '"10:30"' in str(caught.value)
    assert "10:30:00" in str(caught.value)


@given(st.times())
def test_a_shown_daytime_reads_as_itself(daytime):
    assert parse_daytime(show_daytime(daytime)) == daytime
