"""Loading a directory: ids, links, defaults, calendars; a broken file leaves the rest."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from apsis.jobs import load_jobs
from apsis.messages.body import encode

GOOD = "program: 'true'\n"


def found(loaded):
    return [f"{each.file}:{each.line}:{each.column} {each.code}" for each in loaded.errors]


def test_the_id_of_a_job_is_its_path_without_the_suffix(jobs_dir):
    loaded = jobs_dir({"a.yaml": GOOD, "etl/load prices.yml": GOOD, "etl/deep/er.x.yaml": GOOD})
    assert sorted(loaded.jobs) == ["a", "etl/deep/er.x", "etl/load prices"]
    assert loaded.jobs["etl/load prices"].file == "etl/load prices.yml"
    assert loaded.errors == []


def test_hidden_names_and_other_files_are_passed_over(jobs_dir):
    loaded = jobs_dir({".a.yaml": "[", ".git/b.yaml": "[", "README.md": "[", "x.yaml.bak": "[", "c.yaml": GOOD})
    assert list(loaded.jobs) == ["c"]
    assert loaded.errors == []


def test_a_broken_file_leaves_the_rest(jobs_dir):
    loaded = jobs_dir(
        {"a.yaml": GOOD, "b.yaml": "program: [\n", "c.yaml": GOOD, "d.yaml": b"\xff\xfe\x00", "e.yaml": ""}
    )
    assert sorted(loaded.jobs) == ["a", "c"]
    assert {each.file for each in loaded.errors} == {"b.yaml", "d.yaml", "e.yaml"}
    assert all(each.line >= 1 and each.column >= 1 for each in loaded.errors)


def test_the_same_id_twice_is_an_error_that_names_both_files(jobs_dir):
    loaded = jobs_dir({"a.yaml": GOOD, "a.yml": GOOD})
    assert found(loaded) == ["a.yml:1:1 duplicate"]
    assert "a.yaml" in loaded.errors[0].message


def test_a_link_out_of_the_directory_is_refused(jobs_dir, tmp_path):
    (tmp_path / "secret.yaml").write_text(GOOD)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.yaml").write_text(GOOD)
    jobs_dir({"a.yaml": GOOD})
    os.symlink(tmp_path / "secret.yaml", jobs_dir.path / "out.yaml")
    os.symlink(tmp_path / "other", jobs_dir.path / "folder")
    os.symlink(jobs_dir.path / "a.yaml", jobs_dir.path / "inside.yaml")
    loaded = jobs_dir()
    assert sorted(loaded.jobs) == ["a", "inside"]
    assert found(loaded) == ["folder:1:1 link", "out.yaml:1:1 link"]


def test_a_dangling_link_and_a_folder_named_as_a_job_are_told_and_leave_the_rest(jobs_dir):
    jobs_dir({"a.yaml": GOOD, "dir.yaml/b.yaml": GOOD})
    os.symlink("nowhere.yaml", jobs_dir.path / "gone.yaml")
    loaded = jobs_dir()
    assert sorted(loaded.jobs) == ["a", "dir.yaml/b"]
    assert found(loaded) == ["gone.yaml:1:1 unreadable"]


def test_a_fifo_in_the_directory_does_not_block(jobs_dir):
    jobs_dir({"a.yaml": GOOD})
    os.mkfifo(jobs_dir.path / "pipe.yaml")
    loaded = jobs_dir()
    assert list(loaded.jobs) == ["a"]
    assert found(loaded) == ["pipe.yaml:1:1 unreadable"]


def test_a_directory_that_is_not_there_is_told(tmp_path):
    from apsis.jobs import load_jobs

    loaded = load_jobs(tmp_path / "nowhere")
    assert loaded.jobs == {}
    assert "there is no job directory" in loaded.errors[0].message


def test_a_bad_id_is_refused(jobs_dir):
    loaded = jobs_dir({f"{'x' * 129}.yaml": GOOD, "back\\slash.yaml": GOOD})
    assert {each.code for each in loaded.errors} == {"job_id"}
    assert loaded.jobs == {}


def test_defaults_hold_in_their_folder_and_below_and_yield_to_the_job(jobs_dir):
    loaded = jobs_dir(
        {
            "_defaults.yaml": (
                "metadata: {owner: all, labels: [a]}\npriority: 3\nprogram: {user: top, env: {A: '1', B: '1'}}\n"
            ),
            "etl/_defaults.yaml": "program: {user: etl, env: {B: '2'}}\nschedule: {type: interval, interval: 1h}\n",
            "etl/x.yaml": "program: {type: shell, command: 'true', env: {C: '3'}}\nmetadata: {owner: me}\n",
            "etl/y.yaml": "program: 'true'\nschedule: null\npriority: 5\n",
            "etl/z.yaml": "program: {type: no-op}\n",
            "top.yaml": "program: ['true']\n",
        }
    )
    assert loaded.errors == []
    x = loaded.jobs["etl/x"]
    assert x.program.options.env == {"A": "1", "B": "2", "C": "3"}
    assert (x.program.options.user, x.metadata, x.priority) == ("etl", {"owner": "me", "labels": ["a"]}, 3)
    assert len(x.schedules) == 1
    assert (loaded.jobs["etl/y"].schedules, loaded.jobs["etl/y"].priority) == ((), 5)
    assert loaded.jobs["top"].program.options.user == "top"
    assert loaded.jobs["etl/z"].program.type == "no-op"


def test_a_mistake_in_defaults_is_told_where_it_stands(jobs_dir):
    loaded = jobs_dir(
        {
            "_defaults.yaml": "metadata: {}\nprioritty: 3\nparams: [x]\n",
            "etl/_defaults.yaml": "late_after: soon\n",
            "etl/x.yaml": GOOD,
            "y.yaml": GOOD,
        }
    )
    assert found(loaded) == [
        "_defaults.yaml:2:1 unknown_key",
        "_defaults.yaml:3:1 invalid",
        "etl/_defaults.yaml:1:13 invalid",
    ]
    assert "did you mean 'priority'" in loaded.errors[0].message
    assert list(loaded.jobs) == ["y"]


def test_a_bad_calendar_is_told_and_the_job_that_names_it_too(jobs_dir):
    loaded = jobs_dir(
        {
            "calendars/bad.cal": "START 2026-01-01\nSTOP 2027-01-01\nsometime\n",
            "a.yaml": "program: 'true'\nschedule:\n  type: daily\n  tz: UTC\n  daytime: '10:00'\n  calendar: bad\n",
            "b.yaml": GOOD,
        }
    )
    assert found(loaded) == ["a.yaml:6:13 invalid", "calendars/bad.cal:3:1 calendar"]
    assert list(loaded.jobs) == ["b"]


def test_a_calendar_that_ends_within_thirty_days_is_a_warning(jobs_dir):
    files = {
        "calendars/short.cal": "START 2026-01-01\nSTOP 2026-08-01\n2026-07-31\n",
        "a.yaml": "program: 'true'\nschedule: {type: daily, tz: UTC, daytime: '10:00', calendar: short}\n",
    }
    assert jobs_dir(files, today=date(2026, 6, 1)).errors == []
    loaded = jobs_dir(files, today=date(2026, 7, 10))
    assert [(each.severity, each.code) for each in loaded.errors] == [("warning", "calendar_ends")]
    assert list(loaded.jobs) == ["a"]


def test_the_version_changes_with_the_calendar_file(jobs_dir):
    schedule = "schedule: {type: daily, tz: UTC, daytime: '10:00', calendar: Mon-Fri - off}\n"
    files = {"calendars/off.cal": "START 2026-01-01\nSTOP 2027-01-01\n2026-05-15\n", "a.yaml": GOOD + schedule}
    first, again = jobs_dir(files).jobs["a"], jobs_dir(files).jobs["a"]
    changed = jobs_dir({"calendars/off.cal": "START 2026-01-01\nSTOP 2027-01-01\n2026-05-16\n"}).jobs["a"]
    assert first.version == again.version != changed.version


def test_the_version_is_that_of_the_content_and_not_of_the_spelling(jobs_dir):
    loaded = jobs_dir(
        {
            "a.yaml": "params: [x]\nprogram: echo {{ x }}\n",
            "b.yaml": "# a note\nprogram:\n  command: echo {{ x }}\n  type: shell\nparams: [x]\n",
            "c.yaml": "program: echo {{ x }};\nparams: [x]\n",
        }
    )
    a, b, c = (loaded.jobs[each].version for each in "abc")
    assert a == b != c


def test_what_is_loaded_can_be_parsed_again_from_its_stored_definition(jobs_dir):
    from apsis.jobs import parse_job
    from apsis.messages.body import decode, encode

    text = """
        params: !!set {date, region}
        schedule: {type: daily, tz: UTC, daytime: [10:30:00, 37801], args: {region: eu}, start_date: 2026-01-01}
        conditions: {type: max_running}
        successors: [b, {job_id: c, args: {date: '{{ date }}'}}]
        program: [echo, 1]
    """
    job = jobs_dir({"a.yaml": text}).jobs["a"]
    stored = decode(dict, encode(job.definition))
    again = parse_job("a", stored, file="a.yaml")
    assert again == job
    assert list(again.params) == ["date", "region"]


@pytest.mark.parametrize("wanted", ["jinja2", "holidays", "cronsim", "yaml", "click", "rich"])
def test_importing_the_package_does_not_import_what_few_jobs_need(wanted):
    code = f"import sys, apsis.jobs, apsis.schedules, apsis.runs; sys.exit({wanted!r} in sys.modules)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60, check=False).returncode == 0


def test_loading_plain_jobs_does_not_import_templates_holidays_or_cron(jobs_dir):
    jobs_dir({"a.yaml": "program: 'true'\nschedule: {type: interval, interval: 1h}\n"})
    code = (
        "import sys, pathlib; from apsis.jobs import load_jobs\n"
        f"assert load_jobs(pathlib.Path({str(jobs_dir.path)!r})).jobs\n"
        "sys.exit(bool({'jinja2', 'holidays', 'cronsim'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60, check=False).returncode == 0


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_named_on_one_line_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "new\nline.yaml").write_text("program: 'true'\n")
    (tmp_path / "\udcff.yaml").write_text("program: 'true'\n")
    (tmp_path / "calendars").mkdir()
    os.mkfifo(tmp_path / "calendars" / "pipe.cal")
    errors = load_jobs(tmp_path).errors
    assert {error.file: error.message.partition(";")[0] for error in errors}.keys() >= {
        "calendars/pipe.cal",
        "gone.yaml",
        "new\\nline.yaml",
        "pipe.yaml",
        "\\udcff.yaml",
    }
    encode(errors)
    assert any(error.file == "calendars/pipe.cal" and "no plain file" in error.message for error in errors)
