"""The filter grammar: one parser for REST, the websocket, `apsis runs` and the page."""

from apsis.filters.errors import FilterError
from apsis.filters.filter import Filter, parse, parse_jobs

__all__ = ["Filter", "FilterError", "parse", "parse_jobs"]
