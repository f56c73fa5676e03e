"""Instants, durations, daytimes and zones: how they are read, shifted and shown. Knows no job and no run."""

from apsis.times.instants import format_time, from_micros, parse_time, to_micros

__all__ = ["format_time", "from_micros", "parse_time", "to_micros"]
