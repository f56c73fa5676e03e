"""Retention at work: lists what has ended, and removes what is no longer kept, a few hundred at a time.

Everything here runs in the store's one disk thread, between two syncs.
"""

import logging
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

from apsis.messages.outputs import KeepPolicy
from apsis_services.store.catalogue import Catalogue
from apsis_services.store.names import RunKey
from apsis_services.store.removals import Removal, note_removals
from apsis_services.store.repository import Repository
from apsis_services.store.retention import Ended, Rules, expired

#: outputs removed in one turn
TURN: Final = 256

log = logging.getLogger("store")


class Sweeper:
    """Owns the catalogue."""

    def __init__(self, repository: Repository, rules: Rules) -> None:
        self._repository = repository
        self._rules = rules
        self._catalogue = Catalogue(repository.root)
        #: whether anything could ever expire; None: not known before the catalogue was read once
        self._limited: bool | None = None
        if rules.total is not None or rules.default != KeepPolicy():
            self._limited = True

    def add(self, ended: Iterable[Ended], doubtful: Collection[RunKey] = ()) -> None:
        """List what has ended; of the `doubtful`, which may be listed already, only what is not.

        Raises:
            OSError: the disk refused; nothing is called complete before it is listed.
        """
        if doubtful:
            listed = {one.key for one in self._catalogue.newest_first() if one.key in doubtful}
            ended = [one for one in ended if one.key not in listed]
        found = list(ended)
        if any(one.keep is not None for one in found):
            self._limited = True
        self._catalogue.add(found)

    def turn(self, now: float) -> int:
        """Remove some of what is no longer kept, and return how many; a full turn: there may be more.

        What is not whole is left alone: its bytes are still to come. What is removed is noted first, so that
        a reader never finds neither.

        Raises:
            OSError: the disk refused; the rest stays for the next time.
        """
        if self._limited is None:
            self._limited = any(one.keep is not None for one in self._catalogue.newest_first())
        if not self._limited:
            return 0
        found = expired(self._catalogue.newest_first(), self._rules, now)
        chosen = list(islice(((one, why) for one, why in found if self._may_go(one)), TURN))
        if not chosen:
            return 0
        note_removals(self._repository.root, [Removal(one.key, now, why) for one, why in chosen])
        for one, _ in chosen:
            self._repository.delete(one.key)
        self._catalogue.drop({one.key for one, _ in chosen})
        log.info("%d outputs removed by retention", len(chosen), extra={"event": "outputs_removed"})
        return len(chosen)

    def _may_go(self, ended: Ended) -> bool:
        folder = ended.key.folder(self._repository.root)
        if folder.is_symlink() or not folder.is_dir():
            return True  # gone already, or a link that somebody put there: it is removed, not followed
        return self._repository.is_whole(ended.key)
