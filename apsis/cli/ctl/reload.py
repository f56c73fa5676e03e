"""`apsisctl reload`: read the job directory again."""

import click

from apsis.cli.connection import local_client
from apsis.cli.ctl.home_option import home_option
from apsis.cli.terminal import note
from apsis.home import Home


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--force", is_flag=True, help="Also if it would remove many jobs.")
@home_option
def command(home: Home, dry_run: bool, force: bool) -> int:
    """Read the job files again; a broken file is reported, and its last good version stays."""
    answer = local_client(home).reload(dry_run=dry_run, force=force)
    for word in ("added", "changed", "removed"):
        for job_id in answer.get(word, []):
            click.echo(f"{'would be ' if dry_run else ''}{word}  {job_id}")
    errors = answer.get("errors", [])
    for finding in errors:
        place = ":".join(str(finding[key]) for key in ("file", "line", "column") if finding.get(key))
        note(f"{place}: {finding.get('message', '')}")
    if not errors and not any(answer.get(word) for word in ("added", "changed", "removed")):
        click.echo("nothing has changed")
    return 1 if errors else 0
