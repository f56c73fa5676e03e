"""`apsis exec`: run a command that is no job."""

import shlex

import click

from apsis.cli.connection import Connection, connected
from apsis.cli.making import Stay, make_and_stay, staying_options
from apsis.cli.timing import read_time
from apsis.errors import BadRequest


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("words", nargs=-1, required=True, metavar="-- CMD [ARG]...")
@click.option("--shell", is_flag=True, help="CMD is a line for the shell: apsis exec --shell -- 'df -h | tail'")
@click.option("--at", metavar="TIME", help="When: +10m, 14:30 (`apsis help times`); default: now.")
@click.option("--user", metavar="NAME", help="As which user, where Apsis may.")
@staying_options
@connected
def command(
    connection: Connection, words: tuple[str, ...], shell: bool, at: str | None, user: str | None, stay: Stay
) -> int:
    """Run a command once, on the server, with its output kept as that of any run.

    \b
      apsis exec --follow -- df -h
      apsis exec --shell --wait -- 'cd /srv && ./tidy | tail -3'
    """  # noqa: D301 - click wants the control character
    line, *rest = words
    if shell and rest:
        raise BadRequest(
            "--shell takes one line", hint=f"Quote it: apsis exec --shell -- {shlex.quote(' '.join(words))}"
        )
    program = {"type": "shell", "command": line} if shell else {"type": "program", "argv": list(words)}
    if user:
        program["user"] = user
    body = {"job": {"program": program}, "schedule_time": read_time(at, "--at")}
    return make_and_stay(connection.client(), body, stay)
