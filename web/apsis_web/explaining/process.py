"""The process that answers one question: `python -m apsis_web.explaining.process --home DIR`, question on stdin.

It prints one line of JSON: the answer, or `{"error": {...}}`. It needs no service, so it answers when all are stopped.
"""

import argparse
import ctypes
import os
import signal
import sys
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from apsis.config import Config, load_config
from apsis.errors import ApsisError
from apsis.explaining.sanity import ERROR, WARNING, Finding
from apsis.extensions import configure
from apsis.filters import FilterError
from apsis.home import Home
from apsis.manager_socket import holder
from apsis_web.database import Database
from apsis_web.disks import look_at_disks
from apsis_web.explaining import questions as ask
from apsis_web.explaining.answering import answer, settled, wait
from apsis_web.explaining.records import Records

#: seconds that reading and computing may take; whoever asked waits a little longer
DEADLINE: Final = 20.0
DEADLINE_OF_EXAMINING: Final = 120.0
_PR_SET_PDEATHSIG: Final = 1
#: seconds between the two looks of an examination
SECOND_LOOK: Final = 2.0
#: what is not asked for by a person leaves the processors to what is
_NICE: Final = 10


def main() -> None:
    """Answer the question on stdin."""
    _end_with_parent()
    parser = argparse.ArgumentParser(prog="apsis_web.explaining.process")
    parser.add_argument("--home", required=True)
    home = Home.find(parser.parse_args().home)
    try:
        question = msgspec.json.decode(sys.stdin.buffer.read(), type=ask.Asked)
        said = _answer(question, home)
    except ApsisError as error:
        refusal = ask.Refusal(code=error.code, message=error.message, hint=error.hint, loc=error.loc)
        said = {
            "error": msgspec.to_builtins(refusal) | ({"at": list(error.at)} if isinstance(error, FilterError) else {})
        }
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")


def _end_with_parent() -> None:
    """Have the kernel end us when whoever asked is gone: nobody would read the answer."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answer(question: ask.Asked, home: Home) -> Any:
    config = load_config(home)
    configure(config.extensions)
    database = Database(config.database)
    running = holder(home, "scheduler") is not None
    try:
        if not isinstance(question, ask.Examine):
            return _ask(question, database, config, running, DEADLINE)
        os.nice(_NICE)
        first = _ask(question, database, config, running, DEADLINE_OF_EXAMINING)["findings"]
        if any(each.severity == ERROR for each in first):
            wait(SECOND_LOOK)
            first = settled(first, _ask(question, database, config, running, DEADLINE_OF_EXAMINING)["findings"])
        disks = _disks(home, config) if question.alone else []
        return {"findings": [*first, *disks]}
    finally:
        database.close()


def _disks(home: Home, config: Config) -> list[Finding]:
    places = {
        "home": home.root, "database": config.database.parent, "spool": home.spool, "output": home.output,
    }  # fmt: skip
    return [
        Finding(id=one.id, severity=ERROR if one.status == "fail" else WARNING, subject=one.id, text=one.message)
        for one in look_at_disks(places, config.disk)
        if one.status != "ok"
    ]


def _ask(question: ask.Asked, database: Database, config: Config, running: bool, deadline: float) -> Any:
    return database.read_now(
        lambda reads: answer(question, Records(reads, config), config, datetime.now(UTC), running=running),
        deadline,
        together=not isinstance(question, ask.Forecast | ask.Examine),
    )


if __name__ == "__main__":
    main()
