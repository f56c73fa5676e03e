"""Binding: args from schedules and people, templates, and what a run carries out."""

from datetime import UTC, datetime

import pytest

from apsis.actions import ScheduleAction
from apsis.conditions import Dependency, MaxRunning
from apsis.errors import ApsisError
from apsis.jobs import BindError, bind_args, complete_args, expand, job_json, parse_job
from apsis.messages.body import decode, encode
from apsis.messages.dispatch import StopPolicy, TimeoutPolicy
from apsis.programs.noop import NoOp

START = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
ARGS = {"date": "2026-06-30", "region": "eu's"}


def job(program="true", params=("date", "region"), **keys):
    return parse_job("etl/load", {"program": program, "params": list(params), **keys})


def command(text, args=None, **options):
    return expand(job(text), "r7", args or ARGS, START, **options).program.command


def test_the_args_of_a_schedule_win_over_what_it_offers_and_are_cut_to_the_params():
    daily = {"type": "daily", "tz": "UTC", "daytime": "10:00", "args": {"region": "us", "date": "2020-01-01"}}
    one = job(schedule=daily, params=["date", "region", "tz"])
    (schedule,) = one.schedules
    occurrence = next(schedule.occurrences(START))
    assert bind_args(one, schedule, occurrence) == {"date": "2020-01-01", "region": "us", "tz": "UTC"}


def test_a_param_that_gets_no_value_is_an_error_that_names_it():
    one = job(schedule={"type": "interval", "interval": "1h"})
    with pytest.raises(BindError, match="needs param 'region'") as caught:
        bind_args(one, one.schedules[0], next(one.schedules[0].occurrences(START)))
    assert caught.value.key == "region"
    assert isinstance(caught.value, ApsisError)


@pytest.mark.parametrize(
    ("args", "key", "words"),
    [
        ({"a": "1"}, "b", "needs param 'b' (got: a)"),
        ({"a": "1", "b": "2", "bb": "3"}, "bb", "no param 'bb' (did you mean 'b'?)"),
        ({"a": "9", "b": "2"}, "a", "'9' is not one of 1, 2"),
        ({"a": "1", "b": "x"}, "b", "does not match the pattern"),
    ],
)
def test_args_that_do_not_fit_are_told(args, key, words):
    one = parse_job(
        "j", {"program": "true", "params": {"a": {"choices": [1, 2]}, "b": {"pattern": r"\d+"}, "c": {"default": 5}}}
    )
    assert complete_args(one, {"b": "3", "a": "1"}) == {"a": "1", "b": "3", "c": "5"}
    with pytest.raises(BindError) as caught:
        complete_args(one, args)
    assert caught.value.key == key
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $HOME {x} }}", "plain $HOME {x} }}"),
        ("one newline goes\n\n", "one newline goes\n"),
        ("{{ date }}\n\n", "2026-06-30\n"),
        ("{{ region | quote }}", "'eu'\"'\"'s'"),
        ("{{ run_id }} {{ job_id }}", "r7 etl/load"),
        ("{{ schedule_time }}", "2026-06-30T12:00:00+00:00"),
        (
            "{{ Date(date) + 1 }} {{ Date(date) - 30 }} {{ Date(date) - Date('2026-06-01') }}",
            "2026-07-01 2026-05-31 29",
        ),
        ("{{ (date | date).weekday }} {{ Date(2026, 2, 3).day }}", "Tue 3"),
        ("{{ date | shift('Mon-Fri', -2) }}", "2026-06-26"),
        ("{{ get_calendar('Mon-Fri').after('2026-07-04') }}", "2026-07-06"),
        ("{{ get_calendar('Mon-Fri').before(Date('2026-07-04')) }}", "2026-07-03"),
        ("{{ get_calendar('Mon').shift(date, 1) }} {{ date in get_calendar('Tue') }}", "2026-07-06 True"),
        ("{{ format(Date(date), '%Y%m%d') }} {{ format(date, '%d.%m.') }}", "20260630 30.06."),
        ("{{ format(Daytime('10:30'), '%H%M') }} {{ Daytime('10:30:00') + 90 }}", "1030 10:31:30"),
        ("{{ Time('2026-06-30T14:30:00+02:00') + 3600 }}", "2026-06-30T13:30:00+00:00"),
        ("{{ from_local(date, '14:30', 'Europe/Berlin') }}", "2026-06-30T12:30:00+00:00"),
        ("{{ from_local((date, '14:30'), TimeZone('Europe/Berlin')) }}", "2026-06-30T12:30:00+00:00"),
        ("{{ to_local('2026-06-30T23:00:00Z', 'Asia/Tokyo').date }}", "2026-07-01"),
        ("{{ to_local(Time('2026-06-30T23:00:00Z'), 'Asia/Tokyo').daytime }}", "08:00:00"),
        ("{% for x in [1, 2] %}{{ x }}{% endfor %}", "12"),
        ("{% if region == 'us' %}a{% else %}b{% endif %}", "b"),
    ],
)
def test_a_template_is_expanded(text, expected):
    assert command(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ dat }}", "'dat' is undefined"),
        ("{{ Date('soon') }}", "'soon' is no date"),
        ("{{ date | shft }}", "No filter named 'shft'"),
        ("{{ get_calendar('acme') }}", "no calendar 'acme'"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ date.__class__.__mro__ }}", "unsafe"),
        ("{{ 'x' * 10 ** 9 }}", "too large"),
        ("{{ 9 ** 99999 }}", "too large"),
        ("{{ 9 ** 999 ** 9 }}", "too large"),
        ("{{ [0] * 99999999 }}", "too large"),
        ("{% for i in range(99999999) %}{% endfor %}", "Range too big"),
        ("{{ Time('2026-06-30T10:00:00') }}", "no offset"),
        ("{{ {}.update(x=1) }}", "SecurityError"),
    ],
)
def test_a_template_that_does_not_fit_is_an_error_that_names_the_key(text, words):
    try:
        one = job(text)
    except ApsisError as error:
        assert words in error.message  # noqa: PT017  either the load or the bind may refuse it
        return
    with pytest.raises(BindError) as caught:
        expand(one, "r7", ARGS, START)
    assert caught.value.key == "program.command"
    assert words in f"{caught.value.message} SecurityError"


def test_an_arg_is_never_expanded_as_a_template_itself():
    assert command("echo {{ region | quote }}", {"date": "x", "region": "{{ 7 * 7 }}; $(reboot)"}) == (
        "echo '{{ 7 * 7 }}; $(reboot)'"
    )


def test_the_run_without_schedule_time_has_no_such_name():
    with pytest.raises(BindError, match="schedule_time"):
        expand(job("{{ schedule_time }}"), "r7", ARGS, None)


def test_a_process_is_bound_with_all_its_keys():
    one = job(
        {
            "type": "program",
            "argv": ["run", "{{ region }}", 5],
            "cwd": "/data/{{ date }}",
            "user": "{{ region[:2] }}",
            "host": "{{ region[:2] }}-1",
            "group": "staff",
            "env": {"DATE": "{{ date }}", "GONE": None, "N": 1},
            "stop": {"signal": "{{ 'int' }}", "grace_period": "{{ 2 * 5 }}s"},
            "timeout": {"duration": "1h", "signal": 9},
            "leftovers": "leave",
            "success_exit_codes": [0, 3],
        },
        output={"streams": "split", "max_bytes": 1000},
    )
    program = expand(one, "r7", ARGS, START).program
    assert (program.host, program.success_exit_codes) == ("eu-1", (0, 3))
    process = program.to_process(env={"DATE": "x", "LANG": "C"}, max_bytes=5)
    assert process.argv == ["run", "eu's", "5"]
    assert process.env == {"DATE": "2026-06-30", "GONE": None, "N": "1", "LANG": "C"}
    assert (process.cwd, process.user, process.group) == ("/data/2026-06-30", "eu", "staff")
    assert process.stop == StopPolicy(signal=2, grace=10)
    assert process.timeout == TimeoutPolicy(duration=3600, signal=9)
    assert (process.streams, process.leftovers, process.max_bytes) == ("split", "leave", 1000)
    assert decode(type(process), encode(process)) == process
    assert "x" not in str(program.to_json()["env"])


@pytest.mark.parametrize(
    ("program", "argv"),
    [
        ("echo 1", ["/bin/bash", "-c", "echo 1"]),
        ({"type": "shell", "command": "x", "shell": "/bin/sh"}, ["/bin/sh", "-c", "x"]),
        ({"type": "shell", "command": "x", "login": True}, ["/bin/bash", "-l", "-c", "x"]),
        (["ls", "-l"], ["ls", "-l"]),
    ],
)
def test_each_form_of_a_program_becomes_words(program, argv):
    assert expand(job(program), "r7", ARGS, START).program.to_process().argv == argv


def test_the_timeout_of_the_job_holds_where_the_program_has_none():
    own = {"type": "shell", "command": "x", "timeout": {"duration": 5}}
    for program, duration in (("x", 7), (own, 5)):
        one = job(program, timeout={"duration": "{{ 7 }}"})
        assert expand(one, "r7", ARGS, START).program.timeout.duration == duration


@pytest.mark.parametrize(
    ("program", "key"),
    [
        ({"type": "shell", "command": "x", "timeout": {"duration": "{{ region }}"}}, "program.timeout.duration"),
        ({"type": "shell", "command": "x", "stop": {"signal": "{{ region }}"}}, "program.stop.signal"),
        ({"type": "no-op", "duration": "{{ region }}"}, "program.duration"),
        (["{{ '' }}"], "program.argv[0]"),
        (["x", "{{ '\\0' }}"], "program.argv[1]"),
    ],
)
def test_what_expands_to_something_else_than_is_needed_is_an_error_that_names_the_key(program, key):
    with pytest.raises(BindError) as caught:
        expand(job(program), "r7", ARGS, START)
    assert caught.value.key == key


@pytest.mark.parametrize("success", [True, False, None])
def test_a_no_op_is_carried_out_by_nobody(success):
    program = expand(
        job({"type": "no-op", "duration": "{{ 1 + 1 }} min", "success": success}), "r7", ARGS, START
    ).program
    assert program == NoOp(duration=120, success=success)


def params_of(job_id):
    return {"other": ["date", "region"], "wide": {"date": None, "extra": None}, "none": []}.get(job_id)


def test_conditions_are_bound_with_the_args_of_their_job():
    one = job(
        condition=[
            {"type": "dependency", "job_id": "other", "args": {"date": "{{ Date(date) - 1 }}"}, "exist": True},
            {"type": "dependency", "job_id": "none", "states": ["success", "failure"]},
            {"type": "max_running", "count": "{{ 1 + 1 }}"},
            {"type": "max_running", "job_id": "none"},
            {"type": "max_running", "all": True},
        ]
    )
    first, *rest = expand(one, "r7", ARGS, START, params_of=params_of).conditions
    assert (first.job_id, first.states) == ("other", ("success",))
    assert first.args == {"date": "2026-06-29", "region": "eu's"}
    assert {"running", "success"} <= set(first.exist)
    assert "failure" not in first.exist
    assert rest == [
        Dependency(job_id="none", args={}, states=("success", "failure")),
        MaxRunning(count=2, job_id="etl/load", args=ARGS),
        MaxRunning(count=1, job_id="none", args={}),
        MaxRunning(count=1, job_id="etl/load", args=None),
    ]


def test_a_bound_condition_and_action_survive_being_written_down():
    from apsis import actions, conditions

    one = job(
        condition=[{"type": "dependency", "job_id": "x", "exist": ["running"]}, {"type": "max_running", "all": True}],
        action={"type": "schedule", "job_id": "y", "if": {"states": "error", "exit_codes": 3, "late": True}},
        successors="z",
    )
    bound = expand(one, "r7", ARGS, START)
    for each in bound.conditions:
        assert conditions.read_bound(decode(dict, encode(each.to_json()))) == each
        assert each.text
    for each in bound.actions:
        assert actions.read_bound(decode(dict, encode(each.to_json()))) == each
    assert [each.if_states for each in bound.actions] == [("error",), ("success",)]


def test_actions_and_successors_are_bound_with_the_args_of_their_job():
    one = job(
        action={"type": "schedule", "job_id": "other", "args": {"region": "{{ run_id }}"}},
        successors=["none", {"job_id": "other"}],
    )
    assert expand(one, "r7", ARGS, START, params_of=params_of).actions == [
        ScheduleAction(job_id="other", args={"date": "2026-06-30", "region": "r7"}),
        ScheduleAction(job_id="none", args={}, when=one.successors[0].when),
        ScheduleAction(job_id="other", args=ARGS, when=one.successors[0].when),
    ]


@pytest.mark.parametrize(
    ("condition", "key"),
    [
        ({"type": "dependency", "job_id": "nowhere"}, "condition[0].job_id"),
        ({"type": "dependency", "job_id": "wide"}, "condition[0].args"),
        ({"type": "dependency", "job_id": "none", "args": {"x": "1"}}, "condition[0].args.x"),
        ({"type": "dependency", "job_id": "other", "args": {"date": "{{ nothing }}"}}, "condition[0].args.date"),
    ],
)
def test_a_condition_that_does_not_fit_is_an_error_that_names_the_key(condition, key):
    with pytest.raises(BindError) as caught:
        expand(job(condition=condition), "r7", ARGS, START, params_of=params_of)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("when", "ends", "expected"),
    [
        ({}, {"state": "skipped"}, True),
        ({"states": ["failure"]}, {"state": "success"}, False),
        ({"exit_codes": [3]}, {"state": "failure", "exit_code": 3}, True),
        ({"exit_codes": [3]}, {"state": "failure", "exit_code": 4}, False),
        ({"late": True}, {"state": "success", "late": False}, False),
        ({"first_failure": True}, {"state": "failure", "previous": "success"}, True),
        ({"first_failure": True}, {"state": "failure", "previous": "error"}, False),
        ({"recovered": True}, {"state": "success", "previous": "error"}, True),
        ({"recovered": True}, {"state": "success", "previous": None}, False),
    ],
)
def test_the_if_of_an_action_decides_after_which_ends_it_is_carried_out(when, ends, expected):
    (action,) = job(action={"type": "schedule", "job_id": "x", "if": when}).actions
    assert action.when.holds(**ends) is expected


def test_a_job_is_shown_as_json():
    one = job(
        schedule={"type": "interval", "interval": "1h", "args": {"region": "eu"}},
        metadata={"description": "**x**", "labels": "a"},
        condition={"type": "max_running"},
    )
    shown = decode(dict, encode(job_json(one)))
    assert shown["params"] == ["date", "region"]
    assert shown["schedules"][0]["text"] == "every 1h"
    assert (shown["description"], shown["labels"], shown["version"]) == ("**x**", ["a"], one.version)
    assert shown["conditions"] == [{"type": "max_running", "count": "1"}]


def test_a_definition_that_is_no_job_raises_an_error_with_all_findings():
    from apsis.jobs import JobError

    with pytest.raises(JobError) as caught:
        parse_job("x", {"params": 5, "colour": "red"})
    assert len(caught.value.findings) == 3
    with pytest.raises(JobError, match="cannot be a job id"):
        parse_job("../x", {"program": "true"})
