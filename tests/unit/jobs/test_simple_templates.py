"""Templates that are filled without the engine, or piece by piece, come out as the engine would have them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apsis.calendars.finder import Calendars
from apsis.errors import ApsisError
from apsis.jobs import templates
from apsis.jobs.simple_templates import fill, pieces
from apsis.jobs.templates import Names, expand_text

ARGS = {"date": "2026-06-30", "region": "a b'c", "empty": ""}
NAMES = Names(
    args=ARGS, run_id="r1", job_id="a", schedule_time=datetime(2026, 6, 30, tzinfo=UTC), calendars=Calendars()
)
PIECES = st.sampled_from(
    [
        "{{ date }}", "{{date}}", "{{ region | quote }}", "{{ region|quote}}", "{{ empty }}", "{{ nobody }}",
        "{{ true }}", "{{ none }}", "{{- date }}", "{{ date -}}", "{% if date %}", "{% endif %}", "{# no #}", "{{",
        "}}", "{", "}",
        "{{ date | shift('Mon-Fri', -1) }}", "{{ Date(date) + 1 }}", "{{ {'a': 1}['a'] }}", "{{ '}}' }}",
        "{{ 'it\\'s' }}", "{{ \"a'\" }}",
        "{{ date\n}}", "\n", "\r\n", " ", "x", "'", "{{ region", "{{ 1 }}", "{{ date }", "{{ { }}", "{{ }}",
    ]
)  # fmt: skip


def by_the_engine(text):
    """Return a text as the engine expands it whole, or that it cannot."""
    try:
        with templates.limited():
            return templates._environment().from_string(text).render(templates._globals(NAMES))
    except Exception:
        return None


def ours(text):
    try:
        return expand_text(text, "program.command", NAMES)
    except ApsisError:
        return None


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=7).map("".join))
def test_a_text_expanded_in_pieces_is_the_text_expanded_whole(text):
    expected = by_the_engine(text)
    assert ours(text) == expected
    filled = fill(text, {**ARGS, "run_id": "r1", "job_id": "a"})
    assert filled is None or filled == expected
    assert "".join(pieces(text)) in (text, text.removesuffix("\n"))


@pytest.mark.parametrize(
    "text", ["echo {{ date }}", "{{ region | quote }}\n", "{{date}}{{empty}}\n\n", "x {{ job_id }}"]
)
def test_simple_templates_need_no_engine(text):
    filled = fill(text, {**ARGS, "run_id": "r1", "job_id": "a"})
    assert filled is not None
    assert filled == by_the_engine(text)


def test_an_error_names_the_line_of_the_whole_text():
    with pytest.raises(ApsisError, match=r"line 3 of the text"):
        expand_text("a\n{{ date }}\n{{ date | nofilter }}\n", "program.command", NAMES)


def test_what_is_too_long_is_refused_by_the_engine():
    names = Names(args={"x": "y" * 600_000}, run_id="r1", job_id="a", schedule_time=None, calendars=Calendars())
    with pytest.raises(ApsisError, match="expands to more than"):
        expand_text("{{ x }}{{ x }}", "program.command", names)
    assert fill("{{ x }}{{ x }}", names.args) is None


def test_jobs_that_share_their_expressions_share_what_is_compiled():
    templates._compiled.cache_clear()
    for number in range(50):
        expand_text(f"load {number} {{{{ date | shift('Mon-Fri', -1) }}}} {number}", "program.command", NAMES)
    assert templates._compiled.cache_info().misses == 1
