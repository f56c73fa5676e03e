"""Telling watchers that output has grown: at once after quiet, then at most so often, and always the last word."""

from collections.abc import Callable
from functools import partial
from typing import Final

from apsis.messages.outputs import LiveOutput

#: seconds between two messages about one run
INTERVAL: Final = 0.1


#: calls back so many seconds from now
CallsLater = Callable[[float, Callable[[], None]], object]


class LiveOutputs:
    """Publishes the newest length of each stream, at most ten messages a second for a run."""

    def __init__(self, publish: Callable[[LiveOutput], None], call_later: CallsLater) -> None:
        self._publish = publish
        self._call_later = call_later
        #: run: what has not been told yet, by stream; a run is in here while it must not be told of
        self._resting: dict[tuple[int, str], dict[str, LiveOutput]] = {}

    def grew(self, output: LiveOutput) -> None:
        """Tell of a new length, now or with the newest that there is when its run's turn has come."""
        run = (output.journal, output.run_id)
        pending = self._resting.get(run)
        if pending is None:
            self._tell(run, {output.stream: output})
        else:
            pending[output.stream] = output

    def _tell(self, run: tuple[int, str], outputs: dict[str, LiveOutput]) -> None:
        for output in outputs.values():
            self._publish(output)
        self._resting[run] = {}
        self._call_later(INTERVAL * len(outputs), partial(self._rested, run))

    def _rested(self, run: tuple[int, str]) -> None:
        pending = self._resting.pop(run)
        if pending:
            self._tell(run, pending)
