"""The manager's command, its log, and the homes and the configurations that it may be started with."""

import os
import sys
from typing import BinaryIO, Final

from apsis.cli.ctl.home_option import command_for
from apsis.cli.ctl.since import check_since
from apsis.cli.terminal import note
from apsis.config import load_config
from apsis.errors import ConfigError
from apsis.home import Home

_LOG_MAX: Final = 10 * 1024 * 1024


def check_home(home: Home) -> None:
    """Refuse a folder that is no home or belongs to someone else.

    Raises:
        ConfigError: it is so.
    """
    home.require()
    owner = home.root.stat().st_uid
    if owner != os.geteuid():
        raise ConfigError(f"{home.root} belongs to another user (uid {owner})", hint="run this as that user")


def check_config(home: Home) -> None:
    """Refuse a configuration that no service could start with, while nothing has been started or stopped for it.

    A job directory that is not there is told and no more: it may come later, as from a share that is not mounted yet.

    Raises:
        ConfigError: it cannot be used.
    """
    config = load_config(home)
    check_since(home, config)
    jobs = config.job_dir
    if not jobs.is_dir():
        note(f"  no job files: {jobs} is {'no folder' if jobs.exists() else 'not there'} (job_dir in {home.config})")
        note(f"  make it, or name another there; then: {command_for(home, 'reload')}")


def manager_command(home: Home) -> list[str]:
    """Return the argv of the manager; it is told no folder to import from but where Apsis is installed."""
    return [sys.executable, "-P", "-m", "apsis_services.manager", "--home", str(home.root)]


def open_log(home: Home) -> BinaryIO:
    """Open the manager's log to append; one that has grown large is put aside."""
    home.log.mkdir(mode=0o750, exist_ok=True)
    log = home.service_log("manager")
    if log.exists() and log.stat().st_size > _LOG_MAX:
        log.replace(log.with_name(f"{log.name}.1"))
    return log.open("ab")
