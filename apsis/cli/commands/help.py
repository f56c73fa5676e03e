"""`apsis help`: what needs more words than a command's help has room for."""

import difflib
from typing import Final

import click

from apsis.errors import NotFound

_TOPICS: Final = {
    "filters": """\
A filter is a list of terms; all must hold. A word is looked for in job, args, labels and reason.

  state:failure,error   in one of these states (the beginning of a name will do)
  is:active             waiting, starting, running or stopping; also is:finished, is:bad, is:late, is:adhoc, is:rerun
  job:etl/              jobs whose name begins so; job:etl/load is that one; * stands for anything
  id:r12,r13            these runs
  label:nightly         with a label
  host:local            on a host
  date=2026-06-30       an arg whose value contains the text; date==2026-06-30 is exactly that; date= is any
  sched:-2h..           due in the last two hours; also start: and end:, with today, 14:30.., 2026-06-30
  elapsed:>10m          that ran longer
  late:>5m              that started later than due
  !job:etl/  -job:etl/  a term with ! or - before it must not hold
  "is this"             quoted: the text itself
""",
    "times": """\
Times are read in this machine's zone, and said back:

  now, +10m, -2h, 14:30 (the next one), tomorrow 06:00, fri 18:00, tonight, 2026-06-30, 2026-06-30 14:30
  20260630T143000Z, 2026-06-30T14:30:00+02:00, @1782829800 (seconds since 1970)
  14:30 America/New_York (a zone may follow)

Durations: 90s, 10m, 1h30m, 2d
""",
    "exit-codes": """\
  0    all went well; with --wait: success
  1    the run ended in failure (--exit-code: the program's own status instead)
  2    the command line is wrong
  3    the run ended in error
  4    the run was skipped
  5    no such run, job or output
  6    refused: the run is not in a state for this
  7    not logged in, or not allowed
  8    the server cannot be reached, or was lost for too long
  124  --timeout was reached; the run goes on
  130  Ctrl-C; the run goes on

`apsisctl status`: 0 all services run, 1 something does not, 3 stopped.
""",
    "environment": """\
  APSIS_HOME     the home: its server and its token are used (default ~/.apsis)
  APSIS_SERVER   address of a server, e.g. http://127.0.0.1:5883; --server wins
  APSIS_TOKEN    token for it; --token-file wins
  NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE, TERM=dumb   whether there are colours; --color wins
  TZ             the zone in which times are shown and read

A program that Apsis runs has APSIS_RUN_ID, APSIS_JOB_ID, APSIS_SCHEDULE_TIME and APSIS_ARG_<NAME>.
""",
    "formats": """\
  -o table    for people; the default in a terminal
  -o wide     the same with more columns
  -o plain    tab-separated, times in UTC, nothing cut; the default in a pipe
  -o json     one array of the objects that REST answers with
  -o ndjson   one object a line
  -o ids      ids alone

--columns state,id,job chooses columns. Data goes to stdout, everything else to stderr.
""",
}


@click.command()
@click.argument("topic", required=False)
def command(topic: str | None) -> None:
    """Explain TOPIC: filters, times, exit-codes, environment, formats."""
    if topic is None:
        click.echo(f"Topics: {', '.join(_TOPICS)}\n  apsis help filters        commands: apsis --help")
        return
    if topic not in _TOPICS:
        near = difflib.get_close_matches(topic, _TOPICS, n=1)
        hint = f"Did you mean: {near[0]}" if near else f"Topics: {', '.join(_TOPICS)}"
        raise NotFound(f"no help on {topic!r}", hint=hint)
    click.echo(_TOPICS[topic], nl=False)
