"""The scheduler: the shell around the core of `apsis.runs.core`. It owns the database, and is its only writer."""
