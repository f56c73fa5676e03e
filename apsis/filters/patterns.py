"""Text patterns of a filter: exact, or with `*` for any characters; the same in Python and in SQLite."""

import re
from dataclasses import dataclass, field

from apsis.filters.tokens import Piece

Sql = tuple[str, list[object]]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text to be equal to, or, with unquoted `*`, a shape to have. Upper and lower case differ."""

    text: str
    #: the parts between the stars; one part: no star
    parts: tuple[str, ...]
    _regex: "re.Pattern[str]" = field(compare=False, repr=False)

    @classmethod
    def of(cls, piece: Piece) -> "Pattern":
        """Return the pattern that a value means."""
        parts = tuple(part.text for part in piece.split("*"))
        # Runs of stars mean one; without this `***` would be tried in every way.
        kept = tuple(part for index, part in enumerate(parts) if part or index in (0, len(parts) - 1))
        if len(kept) == 1 and len(parts) > 1:
            kept = (*kept, "")
        return cls(piece.text, kept, re.compile(".*".join(map(re.escape, kept)), re.DOTALL))

    def matches(self, text: str) -> bool:
        """Tell whether a text has this shape."""
        return self._regex.fullmatch(text) is not None

    def sql(self, column: str) -> Sql:
        """Return the same as a condition on a column."""
        if len(self.parts) == 1:
            return f"{column} = ?", [self.text]
        glob = "*".join(re.sub(r"[\[?*]", r"[\g<0>]", part) for part in self.parts)
        return f"{column} GLOB ?", [glob]


def any_of(conditions: list[Sql]) -> Sql:
    """Return conditions joined by OR."""
    params = [param for _, values in conditions for param in values]
    return "(" + " OR ".join(text for text, _ in conditions) + ")", params
