"""One test for each row of the table of conditions in `jobs.md`, with the example in `docs/jobs/conditions`."""

from pathlib import Path

import pytest
from asked_stage import NO_OP, AskedWorld
from runs_stage import BEGIN, SHELL

from apsis.conditions import read_bound
from apsis.conditions.registry import TYPES
from apsis.jobs.bind import expand
from apsis.jobs.parse import parse_job, read_job
from apsis.jobs.yaml_file import read_yaml
from apsis.messages.body import decode, encode
from apsis.runs.core.inputs import HostLost
from apsis.runs.run import Exit
from apsis.runs.states import State

EXAMPLES = Path(__file__).resolve().parents[3] / "docs/jobs/conditions"


def example(name: str) -> dict[str, object]:
    """Return what the example of a row says; it has no finding."""
    document = read_yaml((EXAMPLES / f"{name}.yaml").read_bytes())
    assert not document.flaws
    assert isinstance(document.value, dict)
    job, findings = read_job(name, document.value)
    assert job is not None
    assert findings == []
    return document.value


def test_row_dependency_waits_for_a_run_with_the_same_args(world: AskedWorld) -> None:
    world.load({"dependency": example("dependency"), "load": {"program": SHELL, "params": ["date", "region"]}})
    host = world.host()
    waiting = world.create("dependency", date="2026-06-30")
    assert waiting.reason == "waiting until load(date=2026-06-30, region=EU) is success"
    other = world.create("load", date="2026-06-30", region="US")
    right = world.create("load", date="2026-06-30", region="EU")
    for run in (other, right):
        assert world.run(waiting.run_id).state is State.WAITING
        world.settle()
        host.finish(run.run_id, world.now)
        world.settle()
    assert world.run(waiting.run_id).state is State.SUCCESS


def test_row_dependency_that_must_exist_is_an_error_at_once_when_no_run_can_get_there(world: AskedWorld) -> None:
    condition = {"type": "dependency", "job_id": "load", "exist": ["running", "success"]}
    world.load({"a": {"program": NO_OP, "condition": condition}, "load": {"program": SHELL}})
    host = world.host()
    lost = world.create("a")
    assert lost.state is State.ERROR
    assert lost.reason == "load is success cannot come true: there is no such run that could get there"
    load = world.create("load")
    world.settle()
    waiting = world.create("a")
    assert waiting.state is State.WAITING
    host.finish(load.run_id, world.now, Exit(code=1))
    world.settle()
    assert world.run(waiting.run_id).state is State.ERROR


def test_row_max_running_counts_starting_running_stopping_and_unreachable(world: AskedWorld) -> None:
    world.load({"max_running": example("max_running")})
    host = world.host()
    first, second, other = (world.create("max_running", region=region) for region in ("EU", "EU", "US"))
    assert [first.state, second.state, other.state] == ["starting", "waiting", "starting"]
    world.settle()
    world.act(first.run_id, "stop")
    world.settle()
    assert world.run(first.run_id).state is State.STOPPING
    assert world.run(second.run_id).state is State.WAITING
    world.wired = False
    world.step(HostLost("local"))
    world.advance(20)
    assert not world.run(first.run_id).reachable
    world.wired = True
    world.host()
    assert world.run(second.run_id).state is State.WAITING
    host.finish(first.run_id, world.now, Exit(signal=15), stopped=True)
    world.settle()
    assert world.run(second.run_id).state is State.RUNNING


def test_row_max_running_count_is_a_template_and_args_may_be_any(world: AskedWorld) -> None:
    condition = {"type": "max_running", "count": "{{ n }}", "all": True}
    world.load({"a": {"program": SHELL, "params": ["n", "x"], "condition": condition}})
    world.host()
    assert [world.create("a", n="2", x=x).state for x in "123"] == ["starting", "starting", "waiting"]


def test_row_skip_duplicate_skips_the_younger_one(world: AskedWorld) -> None:
    world.load({"skip_duplicate": example("skip_duplicate")})
    world.host()
    first, second = world.create("skip_duplicate", date="1"), world.create("skip_duplicate", date="1")
    other = world.create("skip_duplicate", date="2")
    assert [first.state, second.state, other.state] == ["starting", "skipped", "starting"]
    assert second.reason.startswith(f"a duplicate of {first.run_id}: no older run of the same job and args is")


@pytest.mark.parametrize("target", ["skipped", "error", "success", "failure"])
def test_row_skip_duplicate_target_state(world: AskedWorld, target: str) -> None:
    condition = {"type": "skip_duplicate", "target_state": target, "check_states": "running"}
    world.load({"a": {"program": SHELL, "condition": condition}})
    world.host()
    world.create("a")
    assert world.create("a").state is State.STARTING, "the other one is starting, not running"
    world.settle()
    assert world.create("a").state == target


def test_row_skip_duplicate_is_decided_last_and_anew_each_time(world: AskedWorld) -> None:
    conditions = [{"type": "skip_duplicate", "check_states": ["running"]}, {"type": "dependency", "job_id": "load"}]
    world.load({"a": {"program": SHELL, "condition": conditions}, "load": {"program": NO_OP}})
    world.host()
    first = world.create("a")
    second = world.create("a")
    assert [first.state, second.state] == ["waiting", "waiting"]
    world.act(first.run_id, "start")
    world.settle()
    world.create("load")
    world.settle()
    assert world.run(first.run_id).state is State.RUNNING
    assert world.run(second.run_id).state is State.SKIPPED


def test_row_const_true_lets_go_on_and_false_waits_for_a_start_by_hand(world: AskedWorld) -> None:
    yes = {"program": NO_OP, "condition": {"type": "const", "value": True}}
    world.load({"const": example("const"), "yes": yes})
    assert world.create("yes").state is State.SUCCESS or world.runs("yes", "running")
    held = world.create("const")
    assert held.reason == "waiting for a start by hand: its condition `const` is false"
    world.crash()
    world.advance(86_400)
    assert world.run(held.run_id).state is State.WAITING
    world.act(held.run_id, "start")
    world.settle()
    assert world.run(held.run_id).state is State.SUCCESS


@pytest.mark.parametrize(
    ("name", "text", "keys"),
    [
        (
            "file",
            "/data/2026-06-30/prices.csv is there and newer than 2026-06-30T12:00:00+00:00 and has 1 bytes or more",
            {"path": "/data/2026-06-30/prices.csv", "newer_than": "2026-06-30T12:00:00+00:00", "min_size": 1},
        ),
        (
            "command",
            "`test -d /data/2026-06-30` ends with 0",
            {"argv": ["/bin/bash", "-c", "test -d /data/2026-06-30"]},
        ),
    ],
)
def test_row_that_is_looked_at_outside_asks_and_goes_on_when_it_holds(
    world: AskedWorld, name: str, text: str, keys: dict[str, object]
) -> None:
    world.load({name: example(name)})
    run = world.create(name, at=BEGIN, date="2026-06-30")
    assert run.reason == f"waiting until {text}"
    assert world.asked[run.run_id].condition["keys"] == keys
    world.say(run, "holds")
    assert world.run(run.run_id).state is State.SUCCESS


def test_row_http_asks_with_the_request_of_the_job(world: AskedWorld) -> None:
    world.load({"http": example("http")})
    run = world.create("http", date="2026-06-30")
    condition = world.asked[run.run_id].condition
    assert condition["keys"]["url"] == "https://example.org/ready/2026-06-30"
    assert condition["keys"]["expect"] == {"status": ["2xx"], "json": {"ready": True}}
    assert (condition["interval"], condition["timeout"]) == (60.0, 5.0)
    assert run.reason == "waiting until GET https://example.org/ready/2026-06-30 answers as expected"


def test_row_package_module_class_is_asked_by_its_path(world: AskedWorld, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "row_of_conditions.py").write_text(
        "import apsis\n\nclass Ready(apsis.Condition):\n    def __init__(self, day): pass\n"
        "    def check(self, run): return True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    condition = {"type": "row_of_conditions.Ready", "day": "{{ date }}", "max_time": "1h"}
    world.load({"a": {"program": NO_OP, "params": ["date"], "condition": condition}})
    run = world.create("a", date="1")
    asked = world.asked[run.run_id].condition
    assert (asked["path"], asked["keys"]) == ("row_of_conditions.Ready", {"day": "1"})
    assert run.reason == "waiting until row_of_conditions.Ready(day=1)"
    world.advance(3601)
    assert world.run(run.run_id).state is State.ERROR
    assert "waited longer than 3600 s" in world.run(run.run_id).reason


def test_row_package_module_class_whose_keys_do_not_fit_is_a_finding(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "other_row_of_conditions.py").write_text(
        "import apsis\n\nclass Ready(apsis.Condition):\n    def __init__(self, day): pass\n"
        "    def check(self, run): return True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    definition = {"program": NO_OP, "condition": {"type": "other_row_of_conditions.Ready", "date": "1"}}
    job, findings = read_job("a", definition)
    assert job is None
    assert "takes no key 'date'" in findings[0].message


def test_all_rows_have_an_example() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} >= set(TYPES)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"type": "file", "path": "data.csv"}, "expected a path that begins with /"),
        ({"type": "file", "path": "/a", "newer_than": "yesterday"}, "expected a time like 2026-06-30T12:00:00Z"),
        ({"type": "file", "path": "/a", "exists": False, "min_size": 1}, "has no meaning for a file that is not"),
        ({"type": "command"}, "the condition needs the key 'command'"),
        ({"type": "command", "command": "x", "argv": ["x"]}, "there is `command` already"),
        ({"type": "command", "command": "x", "interval": "0.1 s"}, "expected 1 s or more"),
        ({"type": "command", "command": "x", "timeout": "2h"}, "at most an hour"),
        ({"type": "http", "url": "ftp://x"}, "expected an address like https://example.org/path"),
        ({"type": "http", "url": "http://x/", "host": "a"}, "unknown key 'host'"),
        ({"type": "const"}, "the condition needs the key 'value'"),
        ({"type": "const", "value": "maybe"}, "expected true or false"),
        ({"type": "skip_duplicate", "target_state": "running"}, "expected one of error, failure, skipped, success"),
    ],
)
def test_what_is_wrong_is_a_finding(condition: dict[str, object], words: str) -> None:
    job, findings = read_job("a", {"program": NO_OP, "condition": condition})
    assert job is None
    assert any(words in finding.message for finding in findings), [finding.message for finding in findings]


def test_a_bound_condition_of_each_type_survives_being_written_down() -> None:
    for path in sorted(EXAMPLES.glob("*.yaml")):
        document = example(path.stem)
        job = parse_job(path.stem, document)
        bound = expand(job, "r1", dict.fromkeys(job.params, "1"), BEGIN, params_of=lambda _: ["date", "region"])
        for condition in bound.conditions:
            assert read_bound(decode(dict, encode(condition.to_json()))) == condition
