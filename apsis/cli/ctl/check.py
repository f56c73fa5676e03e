"""`apsisctl check`: what is not as it should be in an installation, whether it runs or not."""

import json
import subprocess
import sys
from typing import Any, Final

import click

from apsis.cli.connection import local_client
from apsis.cli.ctl.home_option import command_for, home_option
from apsis.cli.ctl.status import without_manager
from apsis.cli.edge import ExitCode
from apsis.cli.forms import one_line
from apsis.cli.terminal import note, paint
from apsis.errors import ApsisError
from apsis.home import Home
from apsis.manager_socket import ManagerAway, status

Json = dict[str, Any]

#: seconds that an examination may take
_PATIENCE: Final = 130.0
_COLORS: Final = {"error": "red", "warning": "yellow"}
_GOOD: Final = frozenset({"running", "ready", "up"})


@click.command()
@click.option("-o", "output", type=click.Choice(["text", "json"]), default="text", help="Form of the answer.")
@click.option("--strict", is_flag=True, help="Exit with 1 on a warning too.")
@home_option
def command(home: Home, output: str, strict: bool) -> int:
    """Examine the installation: runs that should exist, orphans, lateness, jobs that never run, clock, hosts, disk.

    It may be stopped: then what its records say is examined. Exits with 1 if there is an error.
    """
    home.require()
    findings = _examined(home)
    if output == "json":
        click.echo(json.dumps(findings, indent=2))
    else:
        for finding in findings:
            _print(finding)
        note(_summary(findings))
    bad = any(finding["severity"] == "error" for finding in findings) or (strict and findings)
    return ExitCode.FAILURE if bad else ExitCode.OK


def _examined(home: Home) -> list[Json]:
    """Return the findings as the server has them; without one, those of the records and of the processes."""
    services = _services(home)
    if any(each["name"] == "web" and each["state"] in _GOOD for each in services):
        try:
            return list(local_client(home, timeout=_PATIENCE).health(examine=True)["findings"])
        except ApsisError as error:
            note(f"the server does not answer, so its records are examined without it: {error.message}")
    return [*_of_services(home, services), *_of_records(home)]


def _services(home: Home) -> list[Json]:
    try:
        return list(status(home)["services"])
    except ApsisError:
        return list(without_manager(home)["services"])


def _of_services(home: Home, services: list[Json]) -> list[Json]:
    stopped = [each["name"] for each in services if each["state"] not in _GOOD]
    if len(stopped) == len(services):
        text = "Apsis is stopped: nothing starts until it runs again; what was due meanwhile is caught up"
        return [_finding("stopped", "warning", "services", text, command_for(home, "start"))]
    found = [
        _finding(
            f"service-{name}",
            "error",
            name,
            f"{name} does not run; the others do",
            command_for(home, f"restart {name}"),
        )
        for name in stopped
    ]
    try:
        status(home)
    except ManagerAway:
        text = "the manager does not run: services that crash are not restarted"
        found.append(_finding("manager", "warning", "manager", text, command_for(home, "start")))
    except ApsisError as error:
        found.append(_finding("manager", "warning", "manager", error.message, error.hint))
    return found


def _of_records(home: Home) -> list[Json]:
    from apsis.config import load_config

    if not load_config(home).database.exists():
        return []
    question = json.dumps({"ask": "examine", "alone": True}).encode()
    words = [sys.executable, "-P", "-m", "apsis_web.explaining.process", "--home", str(home.root)]
    try:
        done = subprocess.run(words, input=question, stdout=subprocess.PIPE, timeout=_PATIENCE, cwd="/", check=False)
    except subprocess.TimeoutExpired:
        raise ApsisError(f"the records were not examined within {_PATIENCE:.0f} s") from None
    if done.returncode != 0 or not done.stdout:
        raise ApsisError(f"the process that examines the records ended with status {done.returncode}")
    said = json.loads(done.stdout)
    if "error" in said:
        error = said["error"]
        return [_finding("database", "error", "database", error["message"], error["hint"])]
    return list(said["findings"])


def _finding(id_: str, severity: str, subject: str, text: str, hint: str) -> Json:
    return {"id": id_, "severity": severity, "subject": subject, "text": text, "hint": hint, "since": ""}


def _print(finding: Json) -> None:
    since = f"  (since {finding['since']})" if finding.get("since") else ""
    severity = paint(f"{finding['severity']}:", _COLORS.get(finding["severity"], ""))
    click.echo(f"{severity} {finding['id']}: {one_line(finding['text'])}{since}")
    if finding.get("hint"):
        click.echo(f"    {one_line(finding['hint'])}")


def _summary(findings: list[Json]) -> str:
    errors = sum(finding["severity"] == "error" for finding in findings)
    if not findings:
        return "all is as it should be"
    warnings = len(findings) - errors
    return f"{errors} {'error' if errors == 1 else 'errors'}, {warnings} {'warning' if warnings == 1 else 'warnings'}"
