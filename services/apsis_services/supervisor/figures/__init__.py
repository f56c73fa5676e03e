"""What running programs use: when it is measured, by whom it is heard, and the series that is kept with a run.

Only `samples` knows the library that looks at processes; it is loaded when a run first lasts.
"""
