"""A filter that the server refuses is shown again, with a mark under what is meant."""

from collections.abc import Iterator
from contextlib import contextmanager

from apsis.errors import BadRequest


@contextmanager
def pointing_at(text: str) -> Iterator[None]:
    """Add the filter's text and its wrong columns to the hint of a refusal."""
    try:
        yield
    except BadRequest as error:
        span = getattr(error, "detail", {}).get("at")
        if not span or not text:
            raise
        start, stop = span[0], max(span[1], span[0] + 1)
        hint = f" ({error.hint})" if error.hint else ""
        marked = f"{text}\n{' ' * start}{'^' * (stop - start)}"
        raise BadRequest(f"{error.message}{hint}", hint=marked) from None
