"""What a terminal can show: colour or none, and where words that are no data go (stderr)."""

import os
import sys
from typing import Final, TextIO

_CODES: Final = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "grey": 90, "bold": 1}
#: what `--color` said; None: decide by the terminal
_choice: dict[str, str] = {"color": "auto"}


def choose_color(choice: str) -> None:
    """Set what `--color` said: `auto`, `always` or `never`."""
    _choice["color"] = choice


def has_color(stream: TextIO) -> bool:
    """Say whether colours are wanted on a stream: `--color`, then NO_COLOR, FORCE_COLOR, TERM, then the terminal."""
    if _choice["color"] != "auto":
        return _choice["color"] == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE", "0") != "0":
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_glyphs(stream: TextIO) -> bool:
    """Say whether a stream takes more than ASCII."""
    return (stream.encoding or "").lower().replace("-", "") == "utf8"


def paint(text: str, color: str, stream: TextIO | None = None) -> str:
    """Return a text in a colour, where colours are wanted."""
    if not color or not has_color(stream or sys.stdout):
        return text
    return f"\x1b[{_CODES[color]}m{text}\x1b[0m"


def note(text: str = "", *, end: str = "\n") -> None:
    """Say something that is no data."""
    if not has_glyphs(sys.stderr):
        text = text.encode("ascii", "replace").decode()
    sys.stderr.write(text + end)
    sys.stderr.flush()
