"""Rules of the bus that only the source can show, and that each rule has the test that guards it."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BUS = ROOT / "bus" / "apsis_bus"
ZYGOTE = ROOT / "services" / "apsis_services" / "supervisor" / "zygote"
FLOORS = ("apsis", "bus/apsis_bus", "services/apsis_services", "web/apsis_web")
#: processes that have no bus: the check of a directory, spread over the processors, and what conditions are asked in
WITHOUT_BUS = {
    ROOT / "apsis" / "checking" / "directory.py",
    ROOT / "services" / "apsis_services" / "scheduler" / "conditions" / "pool.py",
}
FORKS = {"fork", "forkpty", "register_at_fork"}


def sources(*folders: str) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(), str(path))


def names(tree: ast.AST) -> set[str]:
    """Every attribute and name that is used, and every module that is imported."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
    return found


def rules() -> dict[str, list[str]]:
    """Return rule: tests, as the table of `tests/README.md` has them."""
    text = (ROOT / "tests" / "README.md").read_text().split("## The rules of the bus")[1]
    table = text.split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (`test_[^|]+) \|$", table, re.MULTILINE)
    return {rule: re.findall(r"`(test_\w+)`", tests) for rule, tests in rows}


def test_each_rule_has_tests_that_are_there() -> None:
    there = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(rules()) > 20
    missing = {rule: [test for test in tests if test not in there] for rule, tests in rules().items()}
    assert {rule: tests for rule, tests in missing.items() if tests} == {}


def test_every_socket_lingers_for_a_known_time() -> None:
    """Or a process hangs at its end, for as long as nobody takes what it has sent."""
    for path, tree in sources("bus/apsis_bus"):
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                text = ast.unparse(function)
                made, set_ = text.count("ontext.socket("), text.count("zmq.LINGER")
                assert made <= set_, f"{path.name}: {function.name} makes {made} sockets, and sets LINGER {set_} times"


@pytest.mark.parametrize("floor", FLOORS)
def test_no_socket_is_a_pub(floor: str) -> None:
    for path, tree in sources(floor):
        assert "PUB" not in names(tree), path


def test_no_socket_has_heartbeats_of_its_own() -> None:
    """libzmq 4.3 aborts the whole process when one falls due on a connection that is stuck (`!_io_error`)."""
    for path, tree in sources("bus/apsis_bus"):
        assert not {name for name in names(tree) if name.startswith("HEARTBEAT_")}, path


def test_the_slow_ways_into_asyncio_are_not_used() -> None:
    for path, tree in sources(*FLOORS):
        assert not {"zmq.asyncio", "zmq.eventloop", "ZMQStream"} & names(tree), path


def test_nobody_forks_but_the_zygote() -> None:
    """A child that shares its parent's ZeroMQ context hangs, or answers in its place."""
    for path, tree in sources(*FLOORS):
        if not path.is_relative_to(ZYGOTE) and path not in WITHOUT_BUS:
            assert not FORKS & names(tree), path
            assert not {name for name in names(tree) if name.split(".")[0] == "multiprocessing"}, path


@pytest.mark.parametrize("module", ["apsis.checking.directory", "apsis_services.scheduler.conditions.evaluator"])
def test_what_forks_beside_the_zygote_has_no_zeromq_loaded(module: str) -> None:
    code = f"import sys, {module}; sys.exit(any(name.split('.')[0] in ('zmq', 'apsis_bus') for name in sys.modules))"
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("", "bus", "services", "web"))
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}).returncode == 0


def test_the_zygote_knows_no_zeromq() -> None:
    for path, tree in sources(str(ZYGOTE.relative_to(ROOT))):
        assert not {name for name in names(tree) if name.split(".")[0] in ("zmq", "apsis_bus")}, path
