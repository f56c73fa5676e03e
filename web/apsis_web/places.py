"""Where the store has the output of a run: under the number of the database that started it, and its id there."""

import msgspec

from apsis_web.asking import Place


class _Where(msgspec.Struct, frozen=True):
    journal: int = 0
    held_as: str = ""


def place_of(run: bytes, run_id: str, present: int) -> Place:
    """Return the place of a run's output, from its JSON; one that names no database is of the `present` one.

    A restored database goes on under a new number, and a run that it did not know may have another id there.
    """
    where = msgspec.json.decode(run, type=_Where)
    return Place(where.journal or present, where.held_as or run_id)
