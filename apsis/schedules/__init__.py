"""Schedules: when a job is due. Each type is a module; `registry` finds it by its name."""

from apsis.schedules.occurrence import Occurrence
from apsis.schedules.schedule import Schedule

__all__ = ["Occurrence", "Schedule"]
