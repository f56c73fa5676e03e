"""Conditions: what a due run waits for. Each type is a module; `registry` finds it by its name."""

from apsis.conditions.asked import Asked
from apsis.conditions.condition import Condition, ConditionSpec, read_bound
from apsis.conditions.const import Const
from apsis.conditions.dependency import Dependency
from apsis.conditions.max_running import MaxRunning
from apsis.conditions.skip_duplicate import SkipDuplicate

__all__ = ["Asked", "Condition", "ConditionSpec", "Const", "Dependency", "MaxRunning", "SkipDuplicate", "read_bound"]
