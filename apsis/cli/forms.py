"""The forms of output: a table for people, tab-separated text for pipes, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from apsis.cli.terminal import has_color, has_glyphs
from apsis.cli.words import in_middle
from apsis.errors import BadRequest

F = TypeVar("F", bound=Callable[..., Any])
Json = dict[str, Any]

#: a column is not made narrower than this
_NARROWEST: Final = 8
FORMS: Final = ("table", "wide", "plain", "json", "ndjson", "ids")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its key for `--columns`, its title, and the text of its cell."""

    key: str
    title: str
    cell: Callable[[Json], str]
    #: rich's name of a colour for a cell
    style: Callable[[Json], str] = lambda _row: ""
    #: where the room is short: cut in the middle
    shrinks: bool = False
    right: bool = False


def form_option(function: F) -> F:
    """Give a command `-o` and `-q`; what it gets is the form's name."""

    def chosen(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
        return value or ("table" if sys.stdout.isatty() else "plain")

    return click.option(
        "-o", "--output", "form", type=click.Choice(FORMS), callback=chosen,
        help="Form: table (in a terminal), plain (tabs; when piped), wide, json, ndjson, ids.",
    )(function)  # fmt: skip


def columns_option(function: F) -> F:
    """Give a command `--columns`."""
    return click.option("--columns", metavar="KEY,...", help="Which columns, in which order.")(function)


def chosen_columns(columns: Sequence[Column], keys: str | None, standard: Sequence[str]) -> list[Column]:
    """Return the columns that were named, else the standard ones.

    Raises:
        BadRequest: one is not known.
    """
    known = {column.key: column for column in columns}
    names = keys.split(",") if keys else standard
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadRequest(f"no column {unknown[0]!r}", hint=f"columns: {', '.join(known)}")
    return [known[name] for name in names]


def print_rows(form: str, rows: Iterable[Json], columns: Sequence[Column], id_key: str) -> None:
    """Print rows in a form."""
    if form == "json":
        click.echo(json.dumps(list(rows), indent=2))
    elif form == "ndjson":
        for row in rows:
            click.echo(json.dumps(row))
    elif form == "ids":
        for row in rows:
            click.echo(row[id_key])
    elif form == "plain":
        click.echo("\t".join(column.title for column in columns))
        for row in rows:
            click.echo("\t".join(one_line(column.cell(row)) for column in columns))
    else:
        print_table(list(rows), columns)


def print_table(rows: Sequence[Json], columns: Sequence[Column]) -> None:
    """Print a table as wide as the terminal, or as wide as it needs where there is none."""
    from rich.console import Console

    console = Console(no_color=not has_color(sys.stdout), highlight=False)
    width = console.width if sys.stdout.isatty() else 10_000
    console.print(make_table(rows, columns, width), soft_wrap=not sys.stdout.isatty())


def make_table(rows: Sequence[Json], columns: Sequence[Column], width: int) -> Any:
    """Return a rich table without boxes, no wider than `width`: columns that may shrink are cut in the middle."""
    from rich.table import Table
    from rich.text import Text

    cells = [[one_line(column.cell(row)) for column in columns] for row in rows]
    widths = [max(len(text) for text in (column.title, *texts)) for column, *texts in zip(columns, *cells, strict=True)]
    widths = fit(widths, [column.shrinks for column in columns], width - 2 * len(columns))
    mark = "…" if has_glyphs(sys.stdout) else "~"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for row, texts in zip(rows, cells, strict=True):
        shown = [in_middle(text, room, mark) for text, room in zip(texts, widths, strict=True)]
        table.add_row(*(Text(text, style=column.style(row)) for column, text in zip(columns, shown, strict=True)))
    return table


def fit(widths: Sequence[int], shrinks: Sequence[bool], room: int) -> list[int]:
    """Return widths whose sum is within the room, as far as the columns that may shrink can give way."""
    fitted = list(widths)
    while sum(fitted) > room:
        widest = max((at for at in range(len(fitted)) if shrinks[at]), key=lambda at: fitted[at], default=None)
        if widest is None or fitted[widest] <= _NARROWEST:
            break
        fitted[widest] -= 1
    return fitted


def print_facts(facts: Mapping[str, str]) -> None:
    """Print `name  value` lines; further lines of a value are indented under it."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        first, *rest = value.splitlines() or [""]
        click.echo(f"{name:<{width}}  {first}".rstrip())
        for line in rest:
            click.echo(f"{'':<{width}}  {line}")


def one_line(text: str) -> str:
    """Return a text that breaks no table and drives no terminal: other characters than printable ones are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
