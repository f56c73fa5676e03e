"""What a command imports: counted in modules, as a time would depend on the machine."""

import subprocess
import sys

import pytest

HEAVY = ("rich", "urllib3", "yaml", "jinja2", "msgspec", "peewee", "psutil", "zmq", "tornado", "apsis_bus", "asyncio")


def imported(code):
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint(*sorted(sys.modules), file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    return {name.partition(".")[0] for name in result.stderr.split()}


@pytest.mark.parametrize("tool", ["main", "control"])
def test_help_imports_no_library_but_click(tool):
    found = imported(f"sys.argv = ['x', '--help']; from apsis.cli.{tool} import main; main()")
    assert "click" in found
    assert not found & set(HEAVY)


def test_no_command_imports_a_floor_above():
    from apsis.cli import control, main

    modules = [entry.module for table in (main._ENTRIES, control._ENTRIES) for entry in table.values()]
    found = imported(f"import importlib; [importlib.import_module(name) for name in {modules!r}]")
    assert not found & {"apsis_bus", "apsis_services", "apsis_web", "zmq", "psutil", "peewee", "tornado", "rich"}


def test_the_manager_is_lean():
    found = imported("import apsis_services.manager.manager, apsis_services.manager.__main__")
    assert not found & {"zmq", "psutil", "peewee", "yaml", "asyncio", "click", "tornado", "jinja2"}
