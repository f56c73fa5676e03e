"""Each mistake in a job file is told with file, line, column, and what was expected."""

import pytest

HEAD = "program: 'true'\n"
EVERY = "  type: interval\n  interval: 1h\n"

CASES = {
    "an unknown key": (HEAD + "prams: [x]\n", "2:1", "unknown key 'prams' in the job (did you mean 'params'?)"),
    "no program": ("params: [x]\n", "1:1", "the job needs the key 'program'"),
    "not a mapping": ("- a\n", "1:1", "expected a mapping with the key 'program', got a list"),
    "an unknown program type": (
        "program:\n  type: shel\n  command: x\n",
        "2:9",
        "stats, archive, vacuum, retention (did you mean 'shell'?); a class of your own is package.module.Class",
    ),
    "a program without type": ("program:\n  command: x\n", "2:3", "the program needs the key 'type'"),
    "argv as a text": (
        "program: {type: program, argv: 'ls -l'}\n",
        "1:32",
        "argv: expected a list of words, got the text 'ls -l'",
    ),
    "a number as command": (
        "program: {type: shell, command: 5}\n",
        "1:33",
        "command: expected a command as one text, got 5",
    ),
    "an empty argv": ("program: []\n", "1:10", "argv: the list is empty"),
    "an unknown schedule type": (
        HEAD + "schedule:\n  type: weekly\n",
        "3:9",
        "unknown schedule type 'weekly'; known: interval, daily, daily-interval, explicit, cron; a class of your own",
    ),
    "an unquoted 10:30": (
        HEAD + "schedule:\n  type: daily\n  tz: UTC\n  daytime: 10:30\n",
        "5:12",
        'write "10:30" (in quotes) or 10:30:00',
    ),
    "an unquoted 10:30 in a list": (
        HEAD + "schedule: {type: daily, tz: UTC, daytime: ['9:00', 10:30]}\n",
        "2:52",
        "YAML reads 10:30 without quotes as the number 630",
    ),
    "an unquoted 10:30.5": (
        HEAD + "schedule:\n  type: daily\n  tz: UTC\n  daytime: 10:30.5\n",
        "5:12",
        "'10:30.5' is no time of day",
    ),
    "a bad duration": (
        HEAD + "schedule:\n  type: interval\n  interval: 1 fortnight\n",
        "4:13",
        "interval: '1 fortnight' is no duration",
    ),
    "a bad zone": (
        HEAD + "schedule:\n- {type: daily, tz: Berlin, daytime: '9:00'}\n",
        "3:21",
        "there is no time zone 'Berlin' (did you mean 'Europe/Berlin'?)",
    ),
    "an arg that is no param": (
        HEAD + "params: [date]\nschedule:\n" + EVERY + "  args: {dat: 1}\n",
        "6:15",
        "args: the job has no param 'dat' (did you mean 'date'?)",
    ),
    "an unknown condition type": (
        HEAD + "condition: {type: dependancy, job_id: x}\n",
        "2:19",
        "unknown condition type 'dependancy'; known: dependency, max_running, skip_duplicate, const, file, http, "
        "command (did you mean 'dependency'?)",
    ),
    "a dependency without a job": (
        HEAD + "condition:\n  - type: max_running\n  - type: dependency\n",
        "4:5",
        "the condition needs the key 'job_id'",
    ),
    "an unknown state": (
        HEAD + "condition: {type: dependency, job_id: x, states: [sucess]}\n",
        "2:51",
        "(did you mean 'success'?)",
    ),
    "a count of zero": (
        HEAD + "condition: {type: max_running, count: 0}\n",
        "2:39",
        "count: expected a number from 1 on, got 0",
    ),
    "an unknown action type": (
        HEAD + "action: {type: emial}\n",
        "2:16",
        "unknown action type 'emial'; known: schedule",
    ),
    "an unfinished state in if": (
        HEAD + "action: {type: schedule, job_id: x, if: {states: running}}\n",
        "2:50",
        "expected one of",
    ),
    "a successor that is a number": (
        HEAD + "successors: [5]\n",
        "2:14",
        "expected a job id or `{job_id, args}`, got 5",
    ),
    "a bad signal": (
        "program: {type: shell, command: x, stop: {signal: SIGTREM}}\n",
        "1:51",
        "there is no signal 'SIGTREM' (did you mean 'TERM'?)",
    ),
    "a timeout that is no mapping": (
        "program: {type: shell, command: x, timeout: 5}\n",
        "1:45",
        "timeout: expected a mapping, got 5",
    ),
    "a timeout of nothing": (HEAD + "timeout: {duration: 0}\n", "2:21", "a timeout of nothing"),
    "another job_id": (HEAD + "job_id: b\n", "2:9", "the file says 'b', its path says 'a'"),
    "a param twice": (HEAD + "params: [x, y, x]\n", "2:16", "'x' stands there twice"),
    "a param that is no name": (HEAD + "params: ['a b']\n", "2:9", "'a b' is no name"),
    "a default that is no choice": (
        HEAD + "params: {x: {default: c, choices: [a, b]}}\n",
        "2:23",
        "'c' is not one of a, b",
    ),
    "a bad pattern": (HEAD + "params:\n  x:\n    pattern: '['\n", "4:14", "is no regular expression"),
    "both spellings": (
        HEAD + "schedule: null\nschedules: null\n",
        "3:1",
        "'schedule' and 'schedules' are the same key",
    ),
    "a bad template": ("program: echo {{ x\n", "1:10", "command: template:"),
    "a bad retry": (HEAD + "retry: {delay: 5, on: [sucess]}\n", "2:8", "retry needs the key 'count'"),
    "a bad output": (
        HEAD + "output: {stream: split}\n",
        "2:10",
        "unknown key 'stream' in output (did you mean 'streams'?)",
    ),
    "metadata that is no mapping": (HEAD + "metadata: hello\n", "2:11", "metadata: expected a mapping, got 'hello'"),
    "labels that are numbers": (HEAD + "metadata: {labels: [[a]]}\n", "2:21", "expected a text, got a list"),
    "a tab": ("program:\n\ttype: shell\n", "2:1", "cannot start any token"),
    "an open bracket": ("program: [a\nparams: x\n", "2:7", "not YAML"),
    "a duplicate key": (HEAD + "params: x\nprogram: 'false'\n", "3:1", "the key 'program' stands there twice"),
    "a duplicate key below": (
        "program:\n  type: shell\n  command: x\n  type: no-op\n",
        "4:3",
        "the key 'type' stands there twice",
    ),
    "a foreign tag": ("program: !!python/object/apply:os.system [ls]\n", "1:10", "tag"),
    "another foreign tag": ("program: !vault secret\n", "1:10", "the tag !vault is not known here"),
    "a key that is a list": ("? [a, b]\n: 1\nprogram: x\n", "1:3", "a key must be a text"),
    "an infinite number": (HEAD + "priority: .inf\n", "2:11", "not a finite number"),
    "a huge number": (HEAD + "priority: 99999999999999999999\n", "2:11", "too large"),
    "two documents": (HEAD + "---\n" + HEAD, "2:1", "not YAML"),
    "no UTF-8": (b"program: 'true'\nparams: \xff\n", "2:9", "not UTF-8"),
    "a NUL": (b"program: 'tr\0ue'\n", "1:13", "NUL"),
    "nothing": ("# only a note\n", "1:1", "the file is empty"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_told_with_line_column_and_what_was_expected(jobs_dir, case):
    text, place, words = CASES[case]
    loaded = jobs_dir({"a.yaml": text})
    errors = [f"{each.line}:{each.column} {each.message}" for each in loaded.errors]
    assert any(each.startswith(f"{place} ") and words in each for each in errors), errors
    assert loaded.jobs == {}
    assert str(loaded.errors[0]).startswith("a.yaml:")


def test_every_mistake_is_told_and_not_only_the_first(jobs_dir):
    text = """\
params: [date, date]
program: {type: shell, comand: ls, timeout: {signal: x}}
schedule:
  - {type: interval, interval: soon}
  - {type: daily, daytime: "25:00"}
priority: high
"""
    errors = jobs_dir({"a.yaml": text}).errors
    assert [f"{each.line}:{each.path}" for each in errors] == [
        "1:params[1]",
        "2:program",
        "2:program.comand",
        "2:program.timeout",
        "2:program.timeout.signal",
        "4:schedule[0].interval",
        "5:schedule[1]",
        "5:schedule[1].daytime",
        "6:priority",
    ]


def test_what_is_probably_a_slip_is_a_warning_and_the_job_is_loaded(jobs_dir):
    loaded = jobs_dir({"a.yaml": "program:\n  type: shell\n  command: x\n  nice: 5\n  stdin: /data/in.csv\n"})
    assert [(each.severity, each.line, each.code) for each in loaded.errors] == [("warning", 5, "stdin")]
    assert list(loaded.jobs) == ["a"]


def test_an_alias_is_located_where_its_value_stands(jobs_dir):
    loaded = jobs_dir({"a.yaml": "program: 'true'\nschedule:\n  - &x {type: interval, interval: soon}\n"})
    assert (loaded.errors[0].line, loaded.errors[0].column) == (3, 35)
