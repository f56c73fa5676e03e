"""What a template speaks of, found without expanding it: names that nobody knows, and args that a shell would split."""

import functools
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from apsis.jobs.simple_templates import names_in

if TYPE_CHECKING:
    from jinja2 import nodes

#: what every template knows besides the args of its run; `apsis.jobs.templates` puts them there
KNOWN: Final = frozenset(
    (
        "run_id", "job_id", "schedule_time", "get_calendar", "Date", "Daytime", "Time", "TimeZone", "from_local",
        "to_local", "format", "range", "dict", "lipsum", "cycler", "joiner", "namespace",
    )
)  # fmt: skip
#: what has gone through one of these was parsed, and has no character that a shell looks at
_PARSED: Final = frozenset(("Date", "Daytime", "Time", "TimeZone", "from_local", "to_local", "format", "get_calendar"))
_EXPRESSION: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_NAMES: Final = re.compile(r"[A-Za-z_]\w*")
#: one name through one of the safe filters, whose arguments have no further brackets
_SAFE: Final = re.compile(r"\s*\w+\s*\|\s*(?:quote|date|shift)\s*(?:\([^()|{}]*\))?\s*")
_SAFE_FILTERS: Final = frozenset(("quote", "date", "shift", "int", "float", "length", "round", "abs"))


def unknown_names(text: str, args: Collection[str]) -> list[str]:
    """Return the names in a template that are neither args nor known to all, sorted; none where it cannot be read."""
    known = KNOWN.union(args)
    simple = names_in(text)
    if simple is not None:
        return sorted({name for name, _ in simple if name not in known})
    tree = _tree(text)
    if tree is None:
        return []
    from jinja2 import TemplateError, meta

    try:
        free = meta.find_undeclared_variables(tree)
    except TemplateError:
        # it is told where the job is read
        return []
    return sorted(free - known - _guarded(tree))


def unquoted_args(text: str, args: Collection[str]) -> list[str]:
    """Return the args that a template puts into a shell command as they are, in the order of the text."""
    simple = names_in(text)
    if simple is not None:
        found = [name for name, quoted in simple if not quoted and name in args]
    elif _harmless(text, frozenset(args)):
        found = []
    else:
        found = [name for name in _raw(text) if name in args]
    return list(dict.fromkeys(found))


def _harmless(text: str, args: frozenset[str]) -> bool:
    """Say, without a parser, that no expression of a text lets an arg through; False where that needs one."""
    if "{%" in text or "{#" in text:
        return False
    return all(_SAFE.fullmatch(each) or args.isdisjoint(_NAMES.findall(each)) for each in _EXPRESSION.findall(text))


def _raw(text: str) -> list[str]:
    tree = _tree(text)
    if tree is None:
        return []
    from jinja2 import nodes

    return [
        name
        for output in tree.find_all(nodes.Output)
        for part in output.nodes
        if not isinstance(part, nodes.TemplateData)
        for name in _exposed(part)
    ]


def _exposed(node: "nodes.Node") -> list[str]:
    """Return the names in an expression whose text comes out as it is."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return [node.name]
    if isinstance(node, nodes.Filter) and node.name in _SAFE_FILTERS:
        return []
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name in _PARSED:
        return []
    if isinstance(node, (nodes.Compare, nodes.Not, nodes.Test)):
        return []
    if isinstance(node, nodes.CondExpr):
        return [name for each in (node.expr1, node.expr2) if each is not None for name in _exposed(each)]
    return [name for each in node.iter_child_nodes() for name in _exposed(each)]


def _guarded(tree: "nodes.Template") -> set[str]:
    """Return the names that a template knows may be missing: `x is defined`, `x | default(...)`."""
    from jinja2 import nodes

    asked: list[nodes.Node] = [each.node for each in tree.find_all(nodes.Test) if each.name in ("defined", "undefined")]
    asked += [each.node for each in tree.find_all(nodes.Filter) if each.name in ("default", "d") and each.node]
    return {each.name for each in asked if isinstance(each, nodes.Name)}


@functools.lru_cache(maxsize=1024)
def _tree(text: str) -> "nodes.Template | None":
    from jinja2 import TemplateError

    try:
        return _environment().parse(text)
    except (TemplateError, RecursionError):
        # it is told where the job is read
        return None


@functools.cache
def _environment() -> "Environment":
    from apsis.jobs.sandbox import Sandbox

    environment = Sandbox()
    # nothing is expanded here: that they are there is enough
    environment.filters.update(dict.fromkeys(("date", "shift", "quote"), str))
    return environment


if TYPE_CHECKING:
    from jinja2 import Environment
