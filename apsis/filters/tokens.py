"""A filter's text cut into tokens at white space, with each character's column and whether it was quoted."""

from dataclasses import dataclass

from apsis.filters.errors import FilterError

MAX_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters of one token. `marks` tells of each whether quotes took away its special meaning."""

    text: str
    marks: tuple[bool, ...]
    #: columns [start, stop) in the filter's text
    start: int
    stop: int
    #: column of each character
    columns: tuple[int, ...]

    def find(self, separators: str) -> int:
        """Return the index of the first unquoted character out of `separators`, or -1."""
        for index, char in enumerate(self.text):
            if char in separators and not self.marks[index]:
                return index
        return -1

    def cut(self, start: int, stop: int | None = None) -> "Piece":
        """Return the part between two indexes, which may be empty."""
        stop = len(self.text) if stop is None else stop
        columns = self.columns[start:stop]
        first = (
            columns[0] if columns else (self.columns[start - 1] + 1 if 0 < start <= len(self.columns) else self.start)
        )
        last = columns[-1] + 1 if columns else first
        if stop == len(self.text):
            last = max(last, self.stop)
        return Piece(self.text[start:stop], self.marks[start:stop], first, last, columns)

    def split(self, separator: str) -> "list[Piece]":
        """Return the parts between unquoted separators, at least one."""
        parts: list[Piece] = []
        rest = self
        while (index := rest.find(separator)) >= 0:
            parts.append(rest.cut(0, index))
            rest = rest.cut(index + 1)
        parts.append(rest)
        return parts

    @property
    def span(self) -> tuple[int, int]:
        """The columns, at least one wide so that an editor has something to underline."""
        return self.start, max(self.stop, self.start + 1)

    @property
    def quoted(self) -> bool:
        """Whether any of it was in quotes."""
        return any(self.marks)

    @property
    def stars(self) -> bool:
        """Whether it has an unquoted `*`."""
        return self.find("*") >= 0


def tokenize(text: str) -> list[Piece]:
    """Cut a filter into tokens; double quotes group, and in them a backslash makes `"` and itself plain.

    Raises:
        FilterError: a quote is not closed, there is a control character, or the text is too long.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"is longer than {MAX_LENGTH} characters", (MAX_LENGTH, len(text)))
    tokens: list[Piece] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        piece = _read_token(text, position)
        tokens.append(piece)
        position = piece.stop
    return tokens


def _read_token(text: str, start: int) -> Piece:
    chars: list[str] = []
    marks: list[bool] = []
    columns: list[int] = []
    position, opened = start, -1
    while position < len(text):
        char = text[position]
        if opened < 0 and char.isspace():
            break
        # A control character would cut SQLite's text, and a lone surrogate cannot be bound at all.
        if (ord(char) < 32 and not char.isspace()) or char == "\x7f" or 0xD800 <= ord(char) <= 0xDFFF:
            raise FilterError("control characters cannot be looked for", (position, position + 1))
        if char == '"':
            opened = position if opened < 0 else -1
        else:
            if opened >= 0 and char == "\\" and text[position + 1 : position + 2] in ('"', "\\"):
                position += 1
                char = text[position]
            chars.append(char)
            marks.append(opened >= 0)
            columns.append(position)
        position += 1
    if opened >= 0:
        raise FilterError(
            'this " is not closed', (opened, len(text)), hint='write "two words", or \\" inside of quotes'
        )
    return Piece("".join(chars), tuple(marks), start, position, tuple(columns))
