"""Each name, method and filter that templates have: its example is read and bound, and gives what it should."""

from pathlib import Path

import pytest

from apsis.jobs.bind import expand
from apsis.jobs.parse import parse_job
from apsis.jobs.yaml_file import read_yaml
from apsis.programs.process import ProcessProgram
from apsis.programs.templated import BindError

EXAMPLES = Path(__file__).resolve().parents[3] / "docs/jobs/templates"


def words(name: str, /, **args: str) -> list[str]:
    document = read_yaml((EXAMPLES / f"{name}.yaml").read_bytes())
    program = expand(parse_job(f"etl/{name}", document.value), "r7", args, None).program
    assert isinstance(program, ProcessProgram)
    return list(program.argv)


def text(template: str, **args: str) -> str:
    job = parse_job("etl/x", {"params": list(args), "program": {"type": "program", "argv": ["x", template]}})
    program = expand(job, "r7", args, None).program
    assert isinstance(program, ProcessProgram)
    return program.argv[1]


def test_row_template_names() -> None:
    assert words("names", date="2026-06-30", daytime="10:30:00")[1:] == [
        "r7 of etl/names",
        "2026-07-01",
        "180",
        "10:31:30",
        "2026-06-30T15:30:00+00:00",
        "Europe/Berlin",
        "2026-06-30T08:30:00+00:00",
        "2026-07-01",
        "00:30:00",
        "30.06.26",
        "1030",
        "20260630T103000",
    ]


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        # a Tuesday, and a Saturday
        ("2026-06-30", ["2026-06-30", "2026-06-30", "2026-06-30", "open"]),
        ("2026-07-04", ["2026-07-03", "2026-07-06", "2026-07-03", "closed"]),
    ],
)
def test_row_template_calendars(date: str, expected: list[str]) -> None:
    assert words("calendars", date=date)[1:] == expected


def test_row_template_filters() -> None:
    assert words("filters", date="2026-07-06", name="a 'b'")[2] == """echo 2026-07-07 2026-07-03 'a '"'"'b'"'"''"""


def test_one_newline_at_the_end_goes_and_no_more() -> None:
    assert text("{{ x }}\n\n", x="a\n") == "a\n\n"
    assert text("{{ x | upper }}\n\n", x="a\n") == "A\n\n"
    assert text("{{ 1 + 1 }}\n") == "2"
    assert text("plain\n\n") == "plain\n"


@pytest.mark.parametrize(
    "template",
    ["{{ nothing }}", "{{ _calendars }}", "{{ nothing | quote }}", "{{ x.nothing }}", "{% if nothing %}a{% endif %}"],
)
def test_what_is_not_known_is_an_error_that_names_the_key(template: str) -> None:
    with pytest.raises(BindError) as caught:
        text(template, x="1")
    assert caught.value.key == "program.argv[1]"
    assert "undefined" in caught.value.message or "has no attribute" in caught.value.message


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ 1 }} {{ 1.5 }} {{ true }}", "1 1.5 True"),
        ("{{ x }}{{ x | quote }}", "a'b'a'\"'\"'b'"),
        ("{% for n in range(3) %}{{ n }}{% endfor %}", "012"),
        ("{# a note #}{{ x | length }}", "3"),
        ("{{ '{{ x }}' }}", "{{ x }}"),
        ("{{ x if x else 'none' }}", "a'b"),
    ],
)
def test_values_are_turned_into_texts(template: str, expected: str) -> None:
    assert text(template, x="a'b") == expected


def test_an_arg_wins_over_a_function_of_its_name() -> None:
    assert text("{{ format }} {{ Date('2026-06-30') }}", format="csv") == "csv 2026-06-30"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ Date('30.6.26') }}", "'30.6.26' is no date like 2026-06-30"),
        ("{{ Time('2026-06-30T10:00:00') }}", "has no offset"),
        ("{{ TimeZone('Berlin') }}", "Berlin"),
        ("{{ get_calendar('Mon-Fry') }}", "Mon-Fry"),
        ("{{ '2026-06-30' | shift('none', 1) }}", "calendar 'no days' has no date"),
        ("{{ x | date }}", "is no date"),
        ("{{ x }", "template: "),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_what(template: str, said: str) -> None:
    with pytest.raises((BindError, Exception)) as caught:
        text(template, x="a")
    assert said in str(getattr(caught.value, "findings", caught.value))
