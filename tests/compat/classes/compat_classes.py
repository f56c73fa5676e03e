"""Classes of an installation of its own, as its job files name them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsis


class EveryThirdDay(apsis.Schedule):
    """Due at a full hour of each third day after 1 January 2026."""

    def __init__(self, hour: int) -> None:
        self.hour = hour

    def times(self, after: datetime) -> Iterator[tuple[datetime, dict[str, str]]]:
        """Yield the times after an instant."""
        due = datetime(2026, 1, 1, self.hour, tzinfo=UTC)
        while True:
            if due > after:
                yield due, {"date": due.date().isoformat()}
            due += timedelta(days=3)


class Greeting(apsis.Program):
    """Prints a greeting."""

    def __init__(self, name: str) -> None:
        self.name = name

    def start(self, run: Any) -> bool:
        """Print it."""
        print(f"hello {self.name}")
        return True


class FileThere(apsis.PolledCondition):
    """Holds once a file is there."""

    def __init__(self, path: str) -> None:
        self.path = path

    def check(self, run: Any) -> bool:
        """Look for it."""
        return Path(self.path).exists()


class Note(apsis.Action):
    """Prints what has ended."""

    def __init__(self, text: str) -> None:
        self.text = text

    def act(self, event: Mapping[str, Any]) -> None:
        """Print it."""
        print(self.text, event["id"])
