"""An action: a line in a file for each run that has ended."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apsis


class Note(apsis.Action):
    """Appends the event's id and how the run ended to a file. A line that stands there already is not written twice."""

    def __init__(self, path: str) -> None:
        self.path = path

    def act(self, event: Mapping[str, Any]) -> None:
        """Write the line."""
        line = f"{event['id']} {event['run_id']} {event['event']}\n"
        with Path(self.path).open("a+") as file:
            file.seek(0)
            if line not in file.readlines():
                file.write(line)
