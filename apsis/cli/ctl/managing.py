"""The manager's command, its log, and the homes that it may be started in."""

import os
import sys
from typing import BinaryIO, Final

from apsis.errors import ConfigError
from apsis.home import Home

_LOG_MAX: Final = 10 * 1024 * 1024


def check_home(home: Home) -> None:
    """Refuse a folder that is no home or belongs to someone else.

    Raises:
        ConfigError: it is so.
    """
    if not home.config.is_file():
        raise ConfigError(
            f"{home.root} is not an Apsis home: it has no {home.config.name}",
            hint=f"Make one: apsisctl init {home.root}",
        )
    owner = home.root.stat().st_uid
    if owner != os.geteuid():
        raise ConfigError(f"{home.root} belongs to another user (uid {owner})", hint="run this as that user")


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
