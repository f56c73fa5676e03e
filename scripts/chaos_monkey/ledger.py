"""The ledger, as the programs write it: read on while they run, and as a whole in the end."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Notes:
    """What the programs of one run wrote down."""

    pids: list[int] = field(default_factory=list)
    #: stream of the program: bytes that it knew to have printed
    written: Counter[str] = field(default_factory=Counter)
    #: it noted its end, right before it ended
    ended: bool = False
    daemons: list[int] = field(default_factory=list)


class Ledger:
    """Reads what was appended since the last time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self.notes: defaultdict[str, Notes] = defaultdict(Notes)
        self._at = 0

    def read(self) -> None:
        """Take what is new; a line is written in one piece, so the last one is whole, too."""
        with self.path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        for line in data.decode("ascii").splitlines():
            word, run_id, *facts = line.split()
            self._take(self.notes[run_id], word, facts)

    def _take(self, notes: Notes, word: str, facts: list[str]) -> None:
        match word:
            case "start":
                notes.pids.append(int(facts[0]))
            case "wrote":
                notes.written[facts[0]] = max(notes.written[facts[0]], int(facts[1]))
            case "end":
                notes.ended = True
            case "daemon":
                notes.daemons.append(int(facts[0]))

    def living(self) -> dict[str, int]:
        """Return run id: pid of those that have begun and have noted no end."""
        self.read()
        return {run_id: notes.pids[-1] for run_id, notes in self.notes.items() if notes.pids and not notes.ended}
