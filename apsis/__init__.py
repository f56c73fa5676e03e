"""Apsis: starts programs when they are due, watches them, keeps what they print, and tells people.

This package is the ground floor: what the words mean. It imports nothing else of ours.
"""

__version__ = "0.1.0"
