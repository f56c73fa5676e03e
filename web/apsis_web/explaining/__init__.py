"""Explaining, as web does it: from the database's views, so that it answers while the scheduler is busy or away.

What needs the jobs' definitions (forecasts, due times, sanity checks) is computed by a process of its own, which is
started for one question and ended at a deadline: no schedule of a user's can hold up a request or the scheduler.
"""
