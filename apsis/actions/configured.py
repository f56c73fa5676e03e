"""The actions that apsis.yaml has for the runs of all jobs."""

from typing import Any

from apsis.actions.action import ActionSpec
from apsis.actions.registry import read_actions
from apsis.definitions.fields import Fields
from apsis.definitions.finding import Findings
from apsis.errors import ConfigError


def read_configured(value: Any, where: str = "apsis.yaml") -> tuple[ActionSpec, ...]:
    """Return the actions that the key `action` of the config means.

    Raises:
        ConfigError: one of them is none; every fault is named.
    """
    findings = Findings()
    fields = Fields({"action": value}, (), findings, where)
    actions = read_actions(fields)
    if fields.failed or findings.errors:
        faults = [f"{each.path}: {each.message}" for each in findings.located()]
        raise ConfigError(f"{where}: {'; '.join(faults)}", hint="docs/alerts.md lists the keys", loc="action")
    return actions
