"""Each row of the tables of the job format has a test of its name and an example in `docs/jobs`, which is loaded."""

import os
import re
import sys
from pathlib import Path

import pytest

from apsis.actions.registry import TYPES as ACTIONS
from apsis.conditions.registry import TYPES as CONDITIONS
from apsis.jobs.load import load_jobs
from apsis.jobs.parse import SPELLINGS
from apsis.programs.registry import TYPES as PROGRAMS
from apsis.schedules.registry import TYPES as SCHEDULES

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs" / "jobs"

#: row: (the beginning of the name of its test, its example)
ROWS = {
    # top-level keys
    "program": ("test_row_program", "keys/program.yaml"),
    "params": ("test_row_params", "keys/params.yaml"),
    "schedule": ("test_row_schedule", "keys/schedule.yaml"),
    "condition": ("test_row_condition", "keys/condition.yaml"),
    "action": ("test_row_action", "keys/action.yaml"),
    "successors": ("test_row_successors", "keys/successors.yaml"),
    "metadata": ("test_row_metadata", "keys/metadata.yaml"),
    "ad_hoc": ("test_row_ad_hoc_and_job_id", "keys/ad_hoc-job_id.yaml"),
    "job_id": ("test_row_ad_hoc_and_job_id", "keys/ad_hoc-job_id.yaml"),
    "retry": ("test_row_retry", "keys/retry.yaml"),
    "resources": ("test_row_resources", "keys/resources.yaml"),
    "priority": ("test_row_priority", "keys/priority.yaml"),
    "timeout": ("test_row_timeout", "keys/timeout.yaml"),
    "late_after": ("test_row_late_after", "keys/late_after.yaml"),
    "expect": ("test_row_expect", "keys/expect.yaml"),
    "output": ("test_row_output", "keys/output.yaml"),
    "conditions, actions, schedules": ("test_row_spellings", "keys/spellings.yaml"),
    "_defaults.yaml": ("test_row_defaults", "keys/defaults/nested/job.yaml"),
    ".yml": ("test_row_yml", "keys/yml.yml"),
    # values
    "durations": ("test_row_durations", "schedules/durations.yaml"),
    "daytimes": ("test_row_daytimes", "schedules/daytimes.yaml"),
    "times": ("test_row_times", "schedules/explicit.yaml"),
    "zones": ("test_row_zones", "schedules/zones.yaml"),
    "weekdays": ("test_row_weekdays", "schedules/weekdays.yaml"),
    "calendar all, none": ("test_row_all_and_none", "calendars/all-and-none.yaml"),
    "calendar of a file": ("test_row_file", "calendars/file.yaml"),
    "calendar holidays": ("test_row_holidays", "calendars/holidays.yaml"),
    "calendar workdays": ("test_row_workdays", "calendars/workdays.yaml"),
    "calendar expression": ("test_row_expression", "calendars/expression.yaml"),
    "calendar methods": ("test_row_calendar_methods", "calendars/in-templates.yaml"),
    # programs
    "program no-op": ("test_row_no_op", "programs/no-op.yaml"),
    "program program": ("test_row_program", "programs/program.yaml"),
    "program shell": ("test_row_shell", "programs/shell.yaml"),
    "program procstar": ("test_row_procstar", "programs/procstar.yaml"),
    "program procstar-shell": ("test_row_procstar_shell", "programs/procstar-shell.yaml"),
    "program python": ("test_row_python", "programs/python.yaml"),
    "program http": ("test_row_http", "programs/http.yaml"),
    "program stats": ("test_row_internal", "programs/stats.yaml"),
    "program archive": ("test_row_internal", "programs/archive.yaml"),
    "program vacuum": ("test_row_internal", "programs/vacuum.yaml"),
    "program retention": ("test_row_internal", "programs/retention.yaml"),
    "program apsis.program.internal.stats.StatsProgram": ("test_row_internal", "programs/internal-stats.yaml"),
    "program apsis.program.internal.archive.ArchiveProgram": ("test_row_internal", "programs/internal-archive.yaml"),
    "program apsis.program.internal.vacuum.VacuumProgram": ("test_row_internal", "programs/internal-vacuum.yaml"),
    "program package.module.Class": ("test_row_class", "programs/class.yaml"),
    "program common keys": ("test_row_common_keys", "programs/common-keys.yaml"),
    # schedules
    "schedule interval": ("test_row_interval", "schedules/interval.yaml"),
    "schedule daily": ("test_row_daily", "schedules/daily.yaml"),
    "schedule daily-interval": ("test_row_daily_interval", "schedules/daily-interval.yaml"),
    "schedule explicit": ("test_row_explicit", "schedules/explicit.yaml"),
    "schedule cron": ("test_row_cron", "schedules/cron.yaml"),
    "schedule package.module.Class": ("test_row_custom_class", "schedules/class.yaml"),
    "schedule common keys": ("test_row_common_keys", "schedules/common-keys.yaml"),
    "schedule catch_up": ("test_catch_up_all", "schedules/catch-up.yaml"),
    "stop duration": ("test_row_stop_duration", "schedules/stop-duration.yaml"),
    "stop daytime": ("test_row_stop_daytime", "schedules/stop-daytime.yaml"),
    # conditions
    "condition dependency": ("test_row_dependency", "conditions/dependency.yaml"),
    "condition max_running": ("test_row_max_running", "conditions/max_running.yaml"),
    "condition skip_duplicate": ("test_row_skip_duplicate", "conditions/skip_duplicate.yaml"),
    "condition const": ("test_row_const", "conditions/const.yaml"),
    "condition file": ("test_row_that_is_looked_at_outside", "conditions/file.yaml"),
    "condition http": ("test_row_http", "conditions/http.yaml"),
    "condition command": ("test_row_that_is_looked_at_outside", "conditions/command.yaml"),
    "condition package.module.Class": ("test_row_package_module_class", "conditions/class.yaml"),
    # actions
    "action schedule": ("test_row_action", "actions/schedule.yaml"),
    "action email": ("test_row_email", "actions/email.yaml"),
    "action webhook": ("test_row_webhook", "actions/webhook.yaml"),
    "action command": ("test_row_command", "actions/command.yaml"),
    "action package.module.Class": ("test_row_custom_class", "actions/class.yaml"),
    "action if": ("test_row_if", "actions/if.yaml"),
    # templates
    "template names": ("test_row_template_names", "templates/names.yaml"),
    "template calendars": ("test_row_template_calendars", "templates/calendars.yaml"),
    "template filters": ("test_row_template_filters", "templates/filters.yaml"),
}


@pytest.fixture(scope="module")
def loaded():
    """Return the examples, with the package of example classes on the path of this process and of those it starts."""
    classes = str(ROOT / "docs" / "examples" / "src")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(classes)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [classes, os.environ.get("PYTHONPATH")])))
        yield load_jobs(DOCS)
    for name in [each for each in sys.modules if each.partition(".")[0] == "apsis_example"]:
        del sys.modules[name]


def test_every_example_loads_with_no_finding(loaded):
    assert [str(each) for each in loaded.errors] == []
    files = [*DOCS.rglob("*.yaml"), *DOCS.rglob("*.yml")]
    assert len(loaded.jobs) == len([path for path in files if path.name != "_defaults.yaml"])


@pytest.mark.parametrize("row", ROWS)
def test_each_row_has_an_example(row, loaded):
    path = ROWS[row][1]
    assert path.rsplit(".", 1)[0] in loaded.jobs, f"docs/jobs/{path} is missing, or does not load"


def test_each_row_has_a_test_of_its_name():
    names = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w*)", path.read_text(), re.MULTILINE)
    }
    missing = {row: test for row, (test, _) in ROWS.items() if not any(name.startswith(test) for name in names)}
    assert missing == {}


def test_each_type_that_can_be_read_is_a_row():
    kinds = {"program": PROGRAMS, "schedule": SCHEDULES, "condition": CONDITIONS, "action": ACTIONS}
    missing = [f"{section} {kind}" for section, types in kinds.items() for kind in types]
    assert [row for row in missing if row not in ROWS] == []


def test_each_top_level_key_is_a_row():
    from apsis.checking.schema import job_schema

    assert set(job_schema()["properties"]) - set(SPELLINGS) - set(ROWS) == set()


def test_each_key_and_type_of_the_manual_is_a_row():
    """The first words of the tables of `docs/jobs.md`, as far as they name keys of a job and types."""
    text = (ROOT / "docs" / "jobs.md").read_text()
    words = {word for row in ROWS for word in (row, row.partition(" ")[2])}
    for section in ("Files and ids", "Conditions", "Schedules"):
        body = text.split(f"## {section}")[1].split("\n## ")[0]
        table = body.split("| --- |")[0].split("|---|")[1] if "|---|" in body else ""
        for cell in re.findall(r"^\| `([\w.-]+)`", table, re.MULTILINE):
            assert cell in words, f"{section}: {cell}"
