"""What is wrong with a filter's text, and where."""

import difflib
from collections.abc import Iterable

from apsis.errors import BadRequest


class FilterError(BadRequest):
    """A filter that cannot be understood; `at` is the span [start, stop) of columns, from 0, that is meant."""

    code = "bad_filter"

    def __init__(self, message: str, at: tuple[int, int], *, hint: str = "") -> None:
        super().__init__(f"filter, column {at[0] + 1}: {message}", hint=hint, loc=f"q:{at[0]}-{at[1]}")
        self.at = at


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean x?`, or the list of what is known where nothing comes near."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]}?" if near else "known: " + " ".join(names)
