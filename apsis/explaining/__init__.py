"""Explaining: why a run waits, ended or never was, what will run, and what is not as it should be.

Everything here is pure: it is given what is known (`knows`) and the time, and returns answers that a person reads.
"""
