"""Conditions: what a due run waits for. Each type is a module; `registry` finds it by its name."""

from apsis.conditions.condition import Condition, ConditionSpec, read_bound
from apsis.conditions.dependency import Dependency
from apsis.conditions.max_running import MaxRunning

__all__ = ["Condition", "ConditionSpec", "Dependency", "MaxRunning", "read_bound"]
