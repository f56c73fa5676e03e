"""What `apsis check` finds in one job alone."""

from datetime import UTC, datetime

import pytest

DAILY = "schedule: {type: daily, tz: UTC, daytime: '09:00', dst: once}\n"


def test_a_good_job_has_no_finding(check):
    assert check({"a.yaml": f"params: date\n{DAILY}program: [echo, '{{{{ date }}}}']\n"}) == []


def test_the_first_run_of_each_schedule_is_bound(check):
    found = check(
        {
            "a.yaml": "params: [date, region]\n"
            "schedule:\n"
            "- {type: daily, tz: UTC, daytime: '09:00', args: {region: eu}}\n"
            "- {type: daily, tz: UTC, daytime: '10:00'}\n"
            "program: 'true'\n"
        }
    )
    assert len(found) == 1
    assert found[0].startswith("a.yaml:4:3: error: schedule: its run at 2026-06-02T10:00:00Z: region: ")


def test_a_template_that_fails_for_the_first_run_is_told_with_its_place(check):
    found = check(
        {
            "a.yaml": "params: date\n" + DAILY + "program:\n"
            "  type: program\n  argv: ['true']\n  timeout:\n    duration: '{{ date }}'\n"
        }
    )
    assert len(found) == 1
    assert found[0].startswith("a.yaml:7:15: error: the run at 2026-06-02T09:00:00Z: program.timeout.duration: ")


def test_all_that_keeps_a_run_from_being_made_is_told_and_not_only_the_first(check):
    found = check(
        {
            "a.yaml": "params: date\n" + DAILY + "program: {type: no-op, duration: '{{ date }}'}\n"
            "condition:\n- {type: max_running, count: 1}\n- {type: max_running, count: '{{ date }}'}\n"
            "successors: {job_id: a, args: {date: '{{ Date(1) }}'}}\n"
        }
    )
    places = [finding.split(": error")[0] for finding in found if ": error" in finding]
    assert places == ["a.yaml:3:34", "a.yaml:6:30", "a.yaml:7:38"]


def test_an_unknown_name_in_a_template_is_told_once_also_where_there_is_no_schedule(check):
    found = check({"a.yaml": "params: date\nprogram: [echo, '{{ dat }}', '{{ Date(day) }}']\n"})
    assert len(found) == 2
    assert found[0] == "a.yaml:2:17: error: argv: the template speaks of 'dat'; the params are date"
    assert found[1] == "a.yaml:2:30: error: argv: the template speaks of 'day'; the params are date"
    assert check({"a.yaml": f"params: date\n{DAILY}program: echo {{{{ dat | quote }}}}\n"}) == [
        "a.yaml:3:10: error: command: the template speaks of 'dat'; the params are date"
    ]


def test_a_name_that_a_template_knows_may_be_missing_is_no_finding(check):
    text = "program: [echo, \"{{ x | default('a') }}{% if y is defined %}{{ y }}{% endif %}\"]\n"
    assert check({"a.yaml": text}) == []


@pytest.mark.parametrize(
    "schedule",
    [
        "{type: daily, tz: UTC, daytime: '9:00', calendar: none}",
        "{type: daily, tz: UTC, daytime: '9:00', end_date: 2020-01-01}",
        "{type: interval, interval: 1h, end_date: 2020-01-01}",
        "{type: cron, cron: '0 0 31 2 *'}",
    ],
)
def test_a_schedule_that_is_never_due_again_is_told(check, schedule):
    found = check({"a.yaml": f"program: 'true'\nschedule: {schedule}\n"})
    assert len(found) == 1
    assert "a.yaml:2:11: warning: schedule: it is never due again" in found[0] or "error: cron" in found[0]


def test_a_schedule_that_is_not_enabled_is_left_alone(check):
    off = "{type: daily, tz: UTC, daytime: '9:00', calendar: none, enabled: false}"
    text = f"program: 'true'\nparams: x\nschedule: {off}\n"
    assert check({"a.yaml": text}) == []


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("echo {{ date }} {{ region }} {{ date }}", "date, region are"),
        ("echo {{ date | quote }} {{ region }}", "region is"),
        ("echo {{ region ~ 'x' }}", "region is"),
        ("{% if date %}echo {{ region | upper }}{% endif %}", "region is"),
        ("echo {{ date | quote }}", None),
        ("echo {{ (region ~ date) | quote }}", None),
        ("echo {{ Date(date) + 1 }} {{ format(date, '%Y') }} {{ date | shift('Mon-Fri', -1) }}", None),
        ("echo {{ 'a' if region == 'b' else 'c' }} {{ region | length }}", None),
        ("echo {{ run_id }} {{ mode }}", None),
    ],
)
def test_unquoted_args_in_shell_commands_are_told(check, command, names):
    head = "params: {date: null, region: null, mode: {choices: [fast, slow]}}\nprogram:\n  type: shell\n"
    found = check({"a.yaml": f"{head}  command: >-\n    {command}\n"})
    if names is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(f"a.yaml:4:12: warning: command: {names} put into a shell command unquoted; write ")


def test_args_in_argv_need_no_quotes(check):
    assert check({"a.yaml": "params: x\nprogram: [echo, '{{ x }}']\n"}) == []


@pytest.mark.parametrize(
    ("zone", "daytime", "sentences"),
    [
        ("Europe/Berlin", "02:30:00", ["on 2026-10-25 there is 02:30:00 twice", "on 2027-03-28 there is no 02:30:00"]),
        ("Europe/Berlin", "02:00:00", ["on 2026-10-25 there is 02:00:00 twice", "on 2027-03-28 there is no 02:00:00"]),
        ("Europe/Berlin", "03:00:00", []),
        ("Europe/Berlin", "01:59:59", []),
        ("America/New_York", "01:15:00", ["on 2026-11-01 there is 01:15:00 twice"]),
        ("America/New_York", "02:15:00", ["on 2027-03-14 there is no 02:15:00"]),
        ("Australia/Lord_Howe", "02:15:00", ["on 2026-10-04 there is no 02:15:00"]),
        ("Australia/Lord_Howe", "01:45:00", ["on 2027-04-04 there is 01:45:00 twice"]),
        ("America/Santiago", "00:30:00", ["on 2026-09-06 there is no 00:30:00"]),
        ("America/Santiago", "23:30:00", ["on 2027-04-03 there is 23:30:00 twice"]),
        ("UTC", "02:30:00", []),
        ("Asia/Kolkata", "02:30:00", []),
    ],
)
def test_surprises_by_a_change_of_the_clock_in_the_next_year_are_told(check, zone, daytime, sentences):
    found = check({"a.yaml": f"program: 'true'\nschedule:\n- type: daily\n  tz: {zone}\n  daytime: '{daytime}'\n"})
    assert len(found) == len(sentences)
    for finding, sentence in zip(found, sentences, strict=True):
        assert finding.startswith(f"a.yaml:3:3: warning: schedule: in {zone} {sentence}")


def test_whoever_says_what_a_change_of_the_clock_is_to_do_is_not_warned(check):
    for dst in ("once", "skip", "twice"):
        schedule = f"{{type: daily, tz: Europe/Berlin, daytime: '02:30', dst: {dst}}}"
        assert check({"a.yaml": f"program: 'true'\nschedule: {schedule}\n"}) == []


def test_a_surprise_on_a_date_that_the_calendar_has_not_is_none(check):
    # clocks change on Sundays
    schedule = "{type: daily, tz: Europe/Berlin, daytime: '02:30', calendar: Mon-Fri}"
    assert check({"a.yaml": f"program: 'true'\nschedule: {schedule}\n"}) == []
    shifted = "{type: daily, tz: Europe/Berlin, daytime: '02:30', calendar: Sat, date_shift: 1}"
    assert len(check({"a.yaml": f"program: 'true'\nschedule: {shifted}\n"})) == 2


def test_a_cron_expression_with_fixed_times_is_told_of_and_one_with_stars_is_not(check):
    fixed = "{type: cron, tz: Europe/Berlin, cron: '30 2 * * *'}"
    assert len(check({"a.yaml": f"program: 'true'\nschedule: {fixed}\n"})) == 2
    stars = "{type: cron, tz: Europe/Berlin, cron: '*/5 * * * *'}"
    assert check({"a.yaml": f"program: 'true'\nschedule: {stars}\n"}) == []


def test_a_calendar_that_ends_is_told_thirty_days_before(check):
    calendar = "START 2026-01-01\nSTOP 2026-07-01\n2026-06-15\n"
    schedule = "schedule:\n- type: daily\n  tz: UTC\n  daytime: '09:00'\n  calendar: ours\n"
    files = {"calendars/ours.cal": calendar, "a.yaml": f"program: 'true'\n{schedule}"}
    found = check(files, now=datetime(2026, 6, 1, tzinfo=UTC))
    assert found == [
        "a.yaml:6:13: warning: calendar: calendar 'ours' ends before 2026-07-01; no run is due from then on"
    ]
    assert check(files, now=datetime(2026, 5, 20, tzinfo=UTC)) == []
    after = check(files, now=datetime(2026, 8, 1, tzinfo=UTC))
    assert any("never due again" in finding for finding in after)
    assert any("ended before 2026-07-01" in finding for finding in after)


def test_a_resource_that_is_not_there_or_too_small_is_told_where_the_config_is_known(check):
    text = {"a.yaml": "program: 'true'\nresources:\n  db: 5\n  gpu: 1\n"}
    assert check(text) == []
    assert check(text, resources={"db": 4}) == [
        "a.yaml:3:7: error: resources: a run takes 5 of 'db', and there are 4: it never starts",
        "a.yaml:4:8: error: resources: there is no resource 'gpu' in the config; known: db",
    ]


def test_what_comes_from_the_defaults_of_a_folder_is_told_in_their_file(check):
    found = check(
        {
            "etl/_defaults.yaml": "metadata: {owner: me}\nschedule:\n  type: daily\n  tz: UTC\n  daytime: '9:00'\n",
            "etl/a.yaml": "params: region\nprogram: 'true'\n",
        }
    )
    assert found == [
        "etl/_defaults.yaml:3:3: error: schedule: its run at 2026-06-02T09:00:00Z: region: job 'etl/a' needs param"
        " 'region'; e.g. etl/a region=VALUE"
    ]


def test_a_part_of_the_day_is_told_of_where_its_ends_are_moved_and_not_where_a_change_lies_within_it(check):
    def daily_interval(start, stop):
        keys = f"{{type: daily-interval, tz: Europe/Berlin, calendar: Sun, start: '{start}', stop: '{stop}'"
        return check({"a.yaml": f"program: 'true'\nschedule: {keys}, interval: 30m}}\n"})

    assert daily_interval("01:00", "05:00") == []
    begins = daily_interval("02:30", "05:00")
    assert len(begins) == 2
    assert "on 2026-10-25 there is 02:30:00 twice: its times begin at the first" in begins[0]
    assert "on 2027-03-28 there is no 02:30:00: its times begin when the clock is put forward" in begins[1]
    assert "its times end when the clock is put forward" in daily_interval("01:00", "02:15")[1]


def test_a_condition_that_never_holds_is_told(check):
    found = check({"a.yaml": "program: 'true'\ncondition: {type: const, value: false}\n"})
    assert len(found) == 1
    assert found[0].startswith("a.yaml:2:12: warning: condition: `const` with `value: false` never holds")
