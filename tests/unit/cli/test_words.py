"""How runs look as words, and how a table fits a terminal."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsis.cli.forms import fit, one_line
from apsis.cli.naming import check_args, read_args
from apsis.cli.waiting import exit_code
from apsis.cli.words import LOOKS, args_cell, duration, elapsed_cell, in_middle, state_cell, stream_names
from apsis.errors import BadRequest
from apsis.runs.states import State
from apsis.times import format_time

NOW = datetime(2026, 6, 30, 14, 32, 7, tzinfo=UTC)


def test_every_state_has_a_look_of_its_own_in_both_alphabets():
    assert set(LOOKS) == set(State)
    assert len({look.glyph for look in LOOKS.values()}) == len({look.ascii for look in LOOKS.values()}) == len(State)


def test_a_failure_shows_its_status_and_an_unreachable_run_says_so():
    assert state_cell({"state": "failure", "exit": {"code": 2}}, glyphs=True) == "✖ failure 2"
    assert state_cell({"state": "running", "reachable": False}, glyphs=False) == "* running (unreachable)"


def test_elapsed_is_that_of_the_program_or_the_time_until_it_is_due():
    started = {"state": "running", "timestamps": {"running": format_time(NOW - timedelta(seconds=126))}}
    assert elapsed_cell(started, NOW) == "2:06"
    assert elapsed_cell({"state": "success", "elapsed": 3723.9}, NOW) == "1:02:03"
    due = {"state": "scheduled", "schedule_time": format_time(NOW + timedelta(seconds=173))}
    assert elapsed_cell(due, NOW) == "in 2:53"
    assert duration(2 * 86400 + 3720) == "2 d 01:02"


def test_args_are_shown_as_they_are_typed():
    assert args_cell({"date": "2026-06-30", "name": "a b", "none": ""}) == "date=2026-06-30 name='a b' none=''"


@given(st.text(max_size=60), st.integers(0, 60))
def test_a_cut_text_is_as_wide_as_its_room_and_keeps_both_ends(text, width):
    shown = in_middle(text, width)
    assert len(shown) <= max(width, 0) or len(shown) == len(text)
    if len(text) > width >= 5:
        assert len(shown) == width
        assert text.startswith(shown.partition("…")[0])


@given(st.lists(st.tuples(st.integers(1, 80), st.booleans()), min_size=1, max_size=8), st.integers(10, 200))
def test_only_columns_that_may_shrink_give_way_and_only_as_far_as_needed(columns, room):
    widths, shrinks = [width for width, _ in columns], [may for _, may in columns]
    fitted = fit(widths, shrinks, room)
    for before, after, may in zip(widths, fitted, shrinks, strict=True):
        assert after == before if not may else min(before, 8) <= after <= before
    if sum(widths) <= room:
        assert fitted == widths
    elif sum(fitted) > room:
        assert all(after <= 8 for after, may in zip(fitted, shrinks, strict=True) if may)


def test_a_cell_drives_no_terminal():
    assert one_line("a\tb\n\x1b[31mred") == "a\\tb\\n\\x1b[31mred"


def test_args_are_read_by_their_first_equals_sign():
    assert read_args(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for bad in (["a"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(BadRequest):
            read_args(bad)


def test_a_param_with_a_default_may_be_left_out():
    job = {"job_id": "j", "params": ["date", "region"], "param_specs": {"region": {"default": "eu"}}}
    check_args(job, {"date": "1"})
    with pytest.raises(BadRequest, match=r"needs param 'date' \(got: none\)"):
        check_args(job, {})


@pytest.mark.parametrize(
    ("states", "code"),
    [(["success"], 0), (["success", "failure"], 1), (["failure", "error"], 3), (["success", "skipped"], 4)],
)
def test_the_exit_status_is_that_of_the_worst_result(states, code):
    assert exit_code([{"state": state} for state in states]) == code


def test_the_program_s_own_status_is_passed_on_where_it_is_asked_for():
    run = {"state": "failure", "exit": {"code": 42}}
    assert exit_code([run], of_program=True) == 42
    assert exit_code([{"state": "failure", "exit": {"signal": 9}}], of_program=True) == 1


def test_streams_are_known_from_the_end_or_from_the_program():
    assert stream_names({"program": {"streams": "split"}}) == ["stdout", "stderr"]
    assert stream_names({"program": {}}) == ["output"]
    assert stream_names({"outputs": {"stderr": 1, "stdout": 2}}) == ["stdout", "stderr"]
