"""`apsisctl init`: make a home."""

import os
import secrets
from pathlib import Path
from typing import Final

import click

import apsis
from apsis.cli.ctl.home_option import command_for, home_option
from apsis.cli.ctl.managing import check_home
from apsis.cli.ctl.since import since_option, tell_since
from apsis.cli.ctl.whole_file import fresh_name, write_whole
from apsis.errors import Conflict
from apsis.home import Home

_CONFIG: Final = """\
# The configuration of this installation of Apsis. All that is commented out shows the default.

web:
  # where the page and the API listen; another address than this machine's own needs TLS before it
  bind: 127.0.0.1
  # 0 takes a free port; `apsisctl status` says which
  port: 5883

# folder of the job files, relative to this one
# job_dir: jobs

# schedule:
#   horizon: 86400      # seconds ahead for which runs are made
#   max_ahead: 100      # runs made ahead for each schedule, at most
#   max_age: null       # seconds; due times older than this are recorded and not run after a downtime
#   since: null         # now, 2h, or a time: what was due before is recorded and not run when Apsis starts

# waiting:
#   max_time: null      # seconds that a run may wait for its conditions

# output:
#   max_bytes: 268435456    # kept of each run's output, head and tail, where its job says nothing else
#   keep:                   # how long, where its job says nothing else; null: no limit
#     days: null            # since the run ended
#     count: null           # outputs of a job
#     bytes: null           # on the disk, of all outputs of a job
#   total_bytes: null       # on the disk, of all outputs together; the oldest go first

# the smaller of the two must be free, on the disks of the database and of each spool, or nothing new is started
# disk:
#   min_free_percent: 10
#   min_free_bytes: 2147483648

# named counts that jobs take while they run
# resources:
#   database: 4

# log:
#   level: info         # debug, info, warning or error
"""

#: folder: mode. `keys` is for this user alone; the group may look into the others
_FOLDERS: Final = {
    "jobs": 0o750,
    "db": 0o750,
    "spool": 0o750,
    "output": 0o750,
    "log": 0o750,
    "keys": 0o700,
    "run": 0o750,
}


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option("--demo", is_flag=True, help="Add example jobs that show every feature, and their data.")
@since_option
@home_option
def command(home: Home, directory: Path | None, demo: bool, since: str | None) -> None:
    """Make a home in DIRECTORY (default: $APSIS_HOME, else ~/.apsis).

    The home gets a configuration, a folder for jobs, and the token that logs you in. In a home that is
    there already only a token that is gone or empty is made anew.
    """
    home = Home.find(directory) if directory else home
    is_new = not home.config.exists()
    if is_new:
        make_home(home)
    else:
        check_home(home)
    has_token = ensure_token(home)
    tell_since(home, since)
    jobs = copy_demo(home) if demo else 0
    if is_new:
        click.echo(f"Made a home in {home.root}")
    elif not has_token:
        click.echo(f"Made a new token in {home.token}; it is asked for at the next login")
    elif not demo:
        click.echo(f"{home.root} is a home already; nothing was changed")
    if demo:
        click.echo(f"Added {jobs} demo files; those that were there already were left as they are")
    click.echo(f"  Jobs go into:  {home.jobs}")
    click.echo(f"  Start it with: {command_for(home, 'start')}")


def make_home(home: Home) -> None:
    """Make the folders, the token, and last the configuration, which marks the folder as a home.

    Raises:
        Conflict: the folder holds other things; nothing was changed.
        OSError: it cannot be written.
    """
    _refuse_others(home)
    home.root.mkdir(mode=0o750, parents=True, exist_ok=True)
    for name, mode in _FOLDERS.items():
        (home.root / name).mkdir(mode=mode, exist_ok=True)
    ensure_token(home)
    write_whole(home.config, _CONFIG.encode(), 0o640)


def ensure_token(home: Home) -> bool:
    """Make the token where it is gone or empty; return whether there was one."""
    if home.token.exists() and home.token.read_bytes().strip():
        return True
    write_whole(home.token, f"{secrets.token_urlsafe(32)}\n".encode(), 0o600)
    return False


def copy_demo(home: Home) -> int:
    """Copy the demo's files that are not there yet, and return how many."""
    source = Path(apsis.__file__).parent / "demo"
    copied = 0
    for path in sorted(source.rglob("*")):
        target = home.root / path.relative_to(source)
        if "__pycache__" in path.parts or path.name == "__init__.py" or not path.is_file() or target.exists():
            continue
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_whole(target, path.read_bytes(), 0o750 if os.access(path, os.X_OK) else 0o640)
        copied += 1
    return copied


def _refuse_others(home: Home) -> None:
    if home.root.exists() and not home.root.is_dir():
        raise Conflict(f"{home.root} is a file", hint="name a folder: apsisctl init DIR")
    if not home.root.is_dir():
        return
    # an init that was broken off left nothing else than these
    others = {path.name for path in home.root.iterdir()} - {
        *_FOLDERS, home.token.name, fresh_name(home.token).name, fresh_name(home.config).name,
    }  # fmt: skip
    if others:
        shown = ", ".join(sorted(others)[:3])
        raise Conflict(
            f"{home.root} is not empty and is not an Apsis home (it holds {shown})",
            hint="name a new or an empty folder: apsisctl init DIR",
        )
