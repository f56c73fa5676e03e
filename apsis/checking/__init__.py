"""Checking: what is wrong with a whole directory of jobs, found before any service reads it."""
