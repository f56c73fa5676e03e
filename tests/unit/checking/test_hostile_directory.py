"""What may stand in a job directory, or under a name in it: each with a message of its own, at its place."""

import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from apsis.checking.directory import check_directory
from apsis.checking.one_job import Frame

GOOD = b"program: [echo, hello]\n"
BOMB = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n" % (n, n, *[n - 1] * 10) for n in range(98, 107)
)

CASES = {
    "a key twice": (GOOD + b"params: x\nprogram: x\n", "3:1: error: the key 'program' stands there twice"),
    "a key twice below": (
        b"program:\n  type: no-op\n  duration: 1\n  duration: 2\n",
        "4:3: error: the key 'duration' stands there twice",
    ),
    "more than 1 MiB": (GOOD + b"# " + b"x" * (1 << 20), "1:1: error: the file is larger than 1 MiB"),
    "more than 100 levels": (
        b"metadata: " + b"[" * 101 + b"]" * 101 + b"\n",
        ":110: error: more than 100 levels deep",
    ),
    "an alias bomb": (BOMB + GOOD, "error: its aliases unfold into more than 100000 values"),
    "an alias of itself": (b"metadata: &m {x: *m}\n", "1:11: error: an alias that contains itself"),
    "bytes that are no UTF-8": (b"program: x\nmetadata: {a: \xff}\n", "2:15: error: the file is not UTF-8 text"),
    "UTF-16": ("program: x\n".encode("utf-16"), "1:1: error: the file is not UTF-8 text"),
    "a NUL": (b"program: tr\0ue\n", "1:12: error: the file has a NUL character"),
    "a control character": (b"program: a\x07b\n", "error: not YAML"),
    "nothing": (b"", "1:1: error: the file is empty"),
    "a tag": (b"program: !!python/name:os.system x\n", "1:10: error: the tag"),
    "two documents": (GOOD + b"---\n" + GOOD, "2:1: error: not YAML"),
}


def findings(root: Path) -> list[str]:
    from datetime import UTC, datetime

    checked = check_directory(root, Frame(now=datetime(2026, 6, 1, tzinfo=UTC)))
    assert "good" in checked.jobs
    return [str(finding) for finding in checked.findings]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "good.yaml").write_bytes(GOOD)
    return tmp_path


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_a_bad_file_is_told_with_its_place_and_leaves_the_rest(root, name, suffix):
    data, said = CASES[name]
    (root / f"bad{suffix}").write_bytes(data)
    found = findings(root)
    assert len(found) == 1, found
    assert found[0].startswith(f"bad{suffix}:")
    assert said in found[0]


@pytest.mark.parametrize("name", CASES)
def test_bad_defaults_are_told_in_their_own_file_and_once(root, name):
    data, said = CASES[name]
    (root / "etl").mkdir()
    (root / "etl" / "_defaults.yaml").write_bytes(data)
    for job in ("a", "b"):
        (root / "etl" / f"{job}.yaml").write_bytes(GOOD)
    found = [each for each in findings(root) if each.startswith("etl/_defaults.yaml:")]
    assert len(found) == 1, found
    assert said in found[0]


def test_a_name_that_can_be_no_id_is_told_on_one_line(root):
    (root / "a\nb.yaml").write_bytes(GOOD)
    (root / "back\\slash.yaml").write_bytes(GOOD)
    (root / os.fsdecode(b"\xff.yaml")).write_bytes(GOOD)
    (root / f"{'x' * 129}.yaml").write_bytes(GOOD)
    found = findings(root)
    assert len(found) == 4
    assert all("cannot be a job id" in each and "\n" not in each for each in found)


def test_links_that_lead_out_are_told_whatever_they_lead_to(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "job.yaml").write_bytes(GOOD)
    (root / "file.yaml").symlink_to(outside / "job.yaml")
    (root / "folder").symlink_to(outside)
    (root / "etl").mkdir()
    (root / "etl" / "_defaults.yaml").symlink_to(outside / "job.yaml")
    (root / "loop.yaml").symlink_to(root / "loop.yaml")
    found = findings(root)
    assert sorted(each.split(":")[0] for each in found) == ["etl/_defaults.yaml", "file.yaml", "folder", "loop.yaml"]
    assert sum("a link that leads out of the job directory" in each for each in found) == 4


def test_one_job_in_two_files_is_told(root):
    (root / "good.yml").write_bytes(GOOD)
    (found,) = findings(root)
    assert "job 'good' is also in good.yaml" in found


def test_what_is_no_plain_file_is_told_and_never_waited_for(root):
    os.mkfifo(root / "pipe.yaml")
    (root / "folder.yaml").mkdir()
    found = findings(root)
    assert any(each.startswith("pipe.yaml:1:1: error: cannot be read") for each in found)


def test_what_may_not_be_read_is_told():
    """As an ordinary user, whom we become for a moment where we are root: root reads everything."""
    folder = Path(tempfile.mkdtemp(prefix="apsis-check-"))
    closed = [folder / "secret.yaml", folder / "etl" / "_defaults.yaml", folder / "closed"]
    try:
        (folder / "etl").mkdir()
        (folder / "closed").mkdir()
        for name in ("good.yaml", "secret.yaml", "etl/a.yaml", "etl/_defaults.yaml"):
            (folder / name).write_bytes(GOOD)
        folder.chmod(0o755)
        # whatever is imported on the way is imported while we may
        findings(folder)
        for path in closed:
            path.chmod(0)
        us = os.geteuid()
        try:
            if us == 0:
                os.seteuid(pwd.getpwnam("nobody").pw_uid)
            found = findings(folder)
        finally:
            os.seteuid(us)
    finally:
        for path in closed:
            path.chmod(0o755)
        shutil.rmtree(folder)
    assert [each.split(":")[0] for each in found] == ["closed", "etl/_defaults.yaml", "secret.yaml"]
    assert all("cannot be read: Permission denied" in each for each in found)


NESTED = {
    "_defaults.yaml": (
        "metadata: {labels: [all], owner: us}\nprogram: {user: etl, env: {A: '1', B: '1'}}\npriority: 1\n"
    ),
    "etl/_defaults.yaml": "program:\n  env: {B: '2', C: '2'}\n  timeout: {duration: 1h}\npriority: 2\n",
    "etl/a.yaml": "program:\n  type: shell\n  command: x\n  env: {C: '3'}\n",
    "etl/b.yml": "program: x\npriority: null\n",
    "c.yaml": "program: {type: no-op}\n",
}


def test_defaults_of_nested_folders_are_merged_key_by_key_and_the_nearest_wins(root):
    from apsis.jobs.load import load_jobs

    for name, text in NESTED.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    loaded = load_jobs(root)
    assert [str(each) for each in loaded.errors] == []
    job = loaded.jobs["etl/a"]
    assert job.program.options.env == {"A": "1", "B": "2", "C": "3"}
    assert job.program.options.user == "etl"
    assert job.program.options.timeout.duration == "1h"
    assert (job.priority, job.labels, job.metadata["owner"]) == (2, ["all"], "us")
    assert loaded.jobs["etl/b"].priority == 0
    assert loaded.jobs["c"].priority == 1


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("_defaults.yaml", "program: {user: [x]}\n", "_defaults.yaml:1:17: error: user: expected a text, got a list"),
        ("etl/_defaults.yaml", "program:\n  nice: 50\n", "etl/_defaults.yaml:2:9: error: nice: expected"),
        ("etl/_defaults.yaml", "prority: 5\n", "etl/_defaults.yaml:1:1: error: unknown key 'prority' in defaults"),
        ("etl/_defaults.yaml", "params: [x]\n", "etl/_defaults.yaml:1:1: error: 'params' cannot have a default"),
        ("etl/_defaults.yaml", "[]\n", "etl/_defaults.yaml:1:1: error: expected a mapping of keys that jobs have"),
        ("etl/_defaults.yaml", "metadata: x\n", "etl/_defaults.yaml:1:11: error: metadata: expected a mapping"),
        ("etl/a.yaml", "program: {type: shell, command: x, nice: 50}\n", "etl/a.yaml:1:42: error: nice: expected"),
    ],
)
def test_a_mistake_in_one_of_nested_defaults_is_told_where_it_stands(root, name, text, said):
    for each, good in NESTED.items():
        (root / each).parent.mkdir(exist_ok=True)
        (root / each).write_text(good)
    (root / name).write_text(text)
    (root / "good.yaml").write_text("program: {type: no-op}\n")
    assert any(each.startswith(said) for each in findings(root)), findings(root)
