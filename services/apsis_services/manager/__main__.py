"""`python -m apsis_services.manager --home H`: the manager of one home; `--foreground` for a terminal or systemd."""

import argparse
import os
import sys
from collections.abc import Sequence

from apsis.errors import ApsisError, ConfigError
from apsis.home import Home
from apsis_bus import process
from apsis_bus.lock import AlreadyRunning, ServiceLock
from apsis_bus.process import ExitCode
from apsis_services.manager.manager import Manager


def main(argv: Sequence[str] | None = None) -> int:
    """Manage the services until told to end; exit codes as those of a service (`--stop`: 1 if runs are left)."""
    parser = argparse.ArgumentParser(prog="apsis manager", description="Starts the services and restarts them.")
    parser.add_argument("--home", help="folder of the installation; default: $APSIS_HOME, else ~/.apsis")
    parser.add_argument(
        "--foreground",
        action="store_true",
        help="for a terminal or systemd (the same, as its starter chooses where stderr goes)",
    )
    parser.add_argument("--stop", action="store_true", help="start nothing: stop what outlived its manager")
    parser.add_argument("--kill-runs", action="store_true", help="with --stop: end the runs and the zygotes too")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds from a run's stop signal to KILL, at most")
    options = parser.parse_args(argv)
    home = Home.find(options.home)
    process.log_to_stderr("manager")
    try:
        lock = _take(home)
    except AlreadyRunning as error:
        process.say("manager", error)
        return ExitCode.ALREADY_RUNNING
    except ApsisError as error:
        process.say("manager", error)
        return ExitCode.CANNOT_START
    except OSError as error:
        process.say("manager", ApsisError(f"{home.run} cannot be used: {error.strerror}"))
        return ExitCode.CANNOT_START
    process.take_title("manager")
    process.forget_inherited_signals()
    process.survive_broken_pipes()
    manager = Manager(home, os.environ)
    lock.ready()
    if options.stop:
        return ExitCode.CRASHED if manager.end(kill_runs=options.kill_runs, longest=options.timeout) else ExitCode.ASKED
    if manager.run():
        # a new version of the code takes over in this very process, so that systemd sees none ended
        lock.release()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606
    return ExitCode.ASKED


def _take(home: Home) -> ServiceLock:
    home.require()
    if home.root.stat().st_uid != os.geteuid():
        raise ConfigError(f"{home.root} belongs to another user", hint="run this as the user who owns it")
    lock = ServiceLock(home, "manager")
    lock.take()
    return lock


if __name__ == "__main__":
    sys.exit(main())
