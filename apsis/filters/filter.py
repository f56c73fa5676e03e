"""The grammar of filters, and the filter that a text means.

```
filter = { term }                     all must hold
term   = [ "!" | "-" ] ( WORD | "QUOTED" | KEY ":" value { "," value } | ARG "=" [ VALUE ] | ARG "==" VALUE )
```
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from apsis.filters import terms
from apsis.filters.errors import FilterError, did_you_mean
from apsis.filters.facts import JobFacts, RunFacts
from apsis.filters.moments import read_amount, read_span
from apsis.filters.patterns import Pattern
from apsis.filters.terms import Not, Term
from apsis.filters.tokens import Piece, tokenize
from apsis.runs.states import State
from apsis.times.instants import EPOCH

_KEY: Final = re.compile(r"[A-Za-z_]+")
_IS: Final[dict[str, Term]] = {
    **{name: terms.StateIs(states) for name, states in terms.STATE_GROUPS.items()},
    "late": terms.IS_LATE,
    "adhoc": terms.AdHoc(),
    "rerun": terms.Rerun(),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a filter's text means; the empty one matches everything."""

    text: str
    terms: tuple[Term, ...]

    @property
    def relative(self) -> bool:
        """Whether what matches changes with the time alone (`sched:-2h..`, `is:late`)."""
        return any(term.relative for term in self.terms)

    def matches(self, run: RunFacts, now: datetime | None = None) -> bool:
        """Tell whether a run has all the terms; `now` is needed where the filter is `relative`."""
        moment = self._moment(now)
        return all(term.matches(run, moment) for term in self.terms)

    def matches_job(self, job: JobFacts) -> bool:
        """Tell whether a job has all the terms, which `parse_jobs` has made sure speak of jobs."""
        return all(term.matches_job(job) for term in self.terms)

    def sql(self, now: datetime | None = None) -> tuple[str, list[object]]:
        """Return a condition over the columns of `v_run` and its parameters.

        Every run that matches fulfils it. The other way round too if `exact`; if not, `matches` decides.
        """
        moment = self._moment(now)
        conditions = [condition for term in self.terms if (condition := term.sql(moment)) is not None]
        params = [param for _, values in conditions for param in values]
        return " AND ".join(text for text, _ in conditions) or "1", params

    @property
    def exact(self) -> bool:
        """Whether `sql` alone decides."""
        return all(term.sql(EPOCH) is not None for term in self.terms)

    def _moment(self, now: datetime | None) -> datetime:
        if now is None and self.relative:
            raise ValueError(f"{self.text!r} depends on the time, so `now` must be given")
        return now or EPOCH


def parse(text: str, zone: tzinfo = UTC) -> Filter:
    """Return the filter of runs that a text means; times without a zone are in `zone`.

    Raises:
        FilterError: the text is no filter; its `at` says which columns, its `hint` what was meant.
    """
    return Filter(text, tuple(_read_term(token, zone) for token in tokenize(text)))


def parse_jobs(text: str) -> Filter:
    """Return the filter of jobs that a text means: words, `job:`, `label:` and `PARAM=`.

    Raises:
        FilterError: the text is no filter, or speaks of runs.
    """
    read = []
    for token in tokenize(text):
        term = _read_term(token, UTC)
        inner = term.term if isinstance(term, Not) else term
        if not isinstance(inner, (terms.Word, terms.JobIs, terms.LabelIs, terms.ArgHas)):
            raise FilterError(
                f"{token.text!r} speaks of runs, not of jobs",
                token.span,
                hint="jobs are found by words, job:, label: and PARAM=",
            )
        read.append(term)
    return Filter(text, tuple(read))


def _read_term(token: Piece, zone: tzinfo) -> Term:
    if token.text[:1] in {"!", "-"} and not token.marks[0]:
        inner = token.cut(1)
        if not inner.text:
            raise FilterError("there is nothing to negate", token.span, hint='quote it to look for it: "!"')
        return Not(_read_positive(inner, zone))
    return _read_positive(token, zone)


def _read_positive(token: Piece, zone: tzinfo) -> Term:
    separator = token.find(":=")
    if separator < 0:
        if not token.text:
            raise FilterError("there is no text in these quotes", token.span)
        return terms.Word(token.text.lower())
    name, value = token.cut(0, separator), token.cut(separator + 1)
    if token.text[separator] == "=":
        return _read_arg(name, value, token)
    if name.text.startswith("arg.") and len(name.text) > 4:
        return terms.ArgIs(name.text[4:], value.text)
    reader = _KEYS.get(name.text)
    if reader is None:
        near = did_you_mean(name.text, _KEYS) if _KEY.fullmatch(name.text) else ""
        hint = f'{near} To look for the text, quote it: "{token.text}"'.strip()
        raise FilterError(f"unknown key {name.text!r}", name.span, hint=hint)
    if not value.text:
        raise FilterError(f"{name.text}: needs a value", token.span)
    values = value.split(",")
    for part in values:
        if not part.text:
            raise FilterError("there is nothing before or after this comma", part.span)
    return reader(values, zone)


def _read_arg(name: Piece, value: Piece, token: Piece) -> Term:
    if not name.text:
        raise FilterError("an arg's name must stand before =", token.span, hint='quote it to look for it: "="')
    if not value.text:
        return terms.ArgHas(name.text)
    if value.text[0] == "=" and not value.marks[0]:
        return terms.ArgIs(name.text, value.cut(1).text)
    return terms.ArgContains(name.text, value.text)


def _read_states(values: list[Piece], zone: tzinfo) -> Term:
    states: set[State] = set()
    for piece in values:
        word = piece.text.lower()
        found = [state for state in State if state == word] or [state for state in State if state.startswith(word)]
        if not found:
            raise FilterError(f"unknown state {piece.text!r}", piece.span, hint=did_you_mean(word, list(State)))
        if len(found) > 1:
            raise FilterError(f"{piece.text!r} may be {' or '.join(found)}", piece.span, hint="write more of the name")
        states.update(found)
    return terms.StateIs(frozenset(states))


def _read_groups(values: list[Piece], zone: tzinfo) -> Term:
    for piece in values:
        if piece.text not in _IS:
            raise FilterError(f"unknown group {piece.text!r}", piece.span, hint=did_you_mean(piece.text, _IS))
    found = tuple(_IS[piece.text] for piece in values)
    return found[0] if len(found) == 1 else terms.AnyOf(found)


def _patterns(values: list[Piece]) -> tuple[Pattern, ...]:
    return tuple(Pattern.of(piece) for piece in values)


def _read_time(what: str) -> Callable[[list[Piece], tzinfo], Term]:
    return lambda values, zone: terms.TimeIn(what, tuple(read_span(piece, zone) for piece in values), zone)


_KEYS: Final[dict[str, Callable[[list[Piece], tzinfo], Term]]] = {
    "job": lambda values, zone: terms.JobIs(_patterns(values)),
    "state": _read_states,
    "is": _read_groups,
    "id": lambda values, zone: terms.IdIs(_patterns(values)),
    "label": lambda values, zone: terms.LabelIs(_patterns(values)),
    "host": lambda values, zone: terms.HostIs(_patterns(values)),
    "sched": _read_time("sched"),
    "start": _read_time("start"),
    "end": _read_time("end"),
    "elapsed": lambda values, zone: terms.Took(tuple(read_amount(piece) for piece in values)),
    "late": lambda values, zone: terms.Late(tuple(read_amount(piece) for piece in values)),
}
