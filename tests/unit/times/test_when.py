"""The times that people type."""

import contextlib
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsis.times.when import BadTime, parse_when, read_when

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)  # a Tuesday
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-06-30 12:00"),
        ("+10m", "2026-06-30 12:10"),
        ("-2h", "2026-06-30 10:00"),
        ("+1h30m", "2026-06-30 13:30"),
        ("14:30", "2026-06-30 12:30"),
        ("10:00", "2026-07-01 08:00"),
        ("14:30:15", "2026-06-30 12:30:15"),
        ("tomorrow 06:00", "2026-07-01 04:00"),
        ("today 06:00", "2026-06-30 04:00"),
        ("fri 18:00", "2026-07-03 16:00"),
        ("Tuesday 13:00", "2026-07-07 11:00"),
        ("tue 15:00", "2026-06-30 13:00"),
        ("tonight", "2026-06-30 18:00"),
        ("2026-06-30", "2026-06-29 22:00"),
        ("2026-06-30 14:30", "2026-06-30 12:30"),
        ("2026-06-30T14:30:05", "2026-06-30 12:30:05"),
        ("20260630T143000Z", "2026-06-30 14:30"),
        ("2026-06-30T14:30:00+02:00", "2026-06-30 12:30"),
        ("2026-06-30T14:30:00.25Z", "2026-06-30 14:30:00.250"),
        ("2026-06-30 14:30 UTC", "2026-06-30 14:30"),
        ("@1782829800", "2026-06-30 14:30"),
        ("14:30 America/New_York", "2026-06-30 18:30"),
        ("  14:30   America/New_York ", "2026-06-30 18:30"),
    ],
)
def test_each_form_is_read(text, expected):
    assert parse_when(text, NOW, BERLIN) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "25:00",
        "14:61",
        "2026-13-01",
        "2026-02-30",
        "+",
        "+ten",
        "14:30 Europe/Brelin",
        "fri 18",
        "@",
        "x" * 500,
        "+9999999d",
        "2026-06-30T14:30+99:00",
        "@99999999999999999",
        "yesterdayish",
        "f",
    ],
)
def test_what_cannot_be_read_is_refused_with_the_forms(text):
    with pytest.raises(BadTime) as caught:
        parse_when(text, NOW, BERLIN)
    assert caught.value.hint


def test_a_local_time_that_occurs_twice_is_an_error_with_both_meanings():
    with pytest.raises(BadTime) as caught:
        parse_when("2026-10-25 02:30", NOW, BERLIN)
    assert "2026-10-25T00:30:00Z" in caught.value.hint
    assert "2026-10-25T01:30:00Z" in caught.value.hint


def test_a_local_time_that_there_is_not_is_an_error_with_the_next_one():
    with pytest.raises(BadTime) as caught:
        parse_when("2026-03-29 02:30", NOW, BERLIN)
    assert "2026-03-29T01:00:00Z" in caught.value.hint


def test_a_mistyped_zone_is_told_with_the_nearest():
    with pytest.raises(BadTime, match="Europe/Berlin"):
        parse_when("14:30 Europe/Brelin", NOW, UTC)


def test_a_daytime_that_is_far_away_has_a_note():
    assert "12 h" in read_when("13:00", NOW, BERLIN).note
    assert not read_when("15:00", NOW, BERLIN).note


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_bad_time(text):
    with contextlib.suppress(BadTime):
        assert parse_when(text, NOW, BERLIN).tzinfo is UTC
