"""Calendars: sets of dates by which schedules and templates count days."""

from apsis.calendars.calendar import Calendar, CalendarError
from apsis.calendars.finder import Calendars

__all__ = ["Calendar", "CalendarError", "Calendars"]
