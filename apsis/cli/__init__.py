"""The command lines: `apsis` speaks REST, `apsisctl` starts and asks processes. One command is one file."""
