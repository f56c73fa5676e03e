"""Actions: what is done when a run has ended. Each type is a module; `registry` finds it by its name."""

from apsis.actions.schedule import ScheduleAction, read_bound
from apsis.actions.when import When

__all__ = ["ScheduleAction", "When", "read_bound"]
