"""Classes of your own for Apsis: a program, a schedule, a condition and an action."""
