"""The sandbox of templates: a short text can neither run without end, nor fill the memory.

A template is expanded on the scheduler's loop, where whatever lasts holds everybody up, so all it does is counted.
What can repeat itself (macros, blocks, recursive loops) is refused when the text is compiled: the template of
a job has no use for it. What is left is straight on, or a loop; each step of a loop and each value that an
operator, a filter or a call makes is charged to the budget of this expansion, and is refused before it is made where
its size follows from a number. Time is the processor's, so a busy machine fails no good template.
"""

import contextvars
import functools
import itertools
import math
import re
import string
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

#: characters of one value or of the whole expanded text; a command line can be no longer either
MAX_LENGTH: Final = 1 << 20
#: characters and items of all values that one expansion makes
_ALL_VALUES: Final = 8 * MAX_LENGTH
#: steps of all loops of one expansion, and numbers of a range
_STEPS: Final = 10_000
#: seconds of processor that one expansion may take
_SECONDS: Final = 0.5
#: bits of a whole number
_BITS: Final = 4096
_LOOPS_DEEP: Final = 3

_REFUSED: Final[dict[type[nodes.Node], str]] = {
    nodes.Macro: "macros",
    nodes.CallBlock: "{% call %}",
    nodes.Block: "blocks",
    nodes.Extends: "{% extends %}",
    nodes.Include: "{% include %}",
    nodes.Import: "{% import %}",
    nodes.FromImport: "{% import %}",
}
#: filters that are for pages, and may take quadratic time
_FOREIGN: Final = ("urlize", "striptags", "xmlattr", "forceescape")
_BUILTIN: Final = (str, bytes, int, float, list, tuple, dict)
#: the width or precision of a `%` that is long or comes from an argument
_WIDE: Final = re.compile(r"%[^a-zA-Z%]*(?:\d{5}|\*)")


@dataclass(slots=True)
class _Budget:
    """What one expansion may still do."""

    left: int = _ALL_VALUES
    steps: int = _STEPS
    until: float = field(default_factory=lambda: time.thread_time() + _SECONDS)

    def charge(self, size: int) -> None:
        self.left -= size + 1
        if self.left < 0:
            raise SecurityError("it makes too much text")
        if time.thread_time() > self.until:
            raise SecurityError(f"it takes more than {_SECONDS} s")

    def step(self, size: int) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise SecurityError(f"its loops take more than {_STEPS:,} steps")
        self.charge(size)


_budget: contextvars.ContextVar[_Budget] = contextvars.ContextVar("budget of a template")


@contextmanager
def limited() -> Iterator[None]:
    """Give one expansion its budget."""
    token = _budget.set(_Budget())
    try:
        yield
    finally:
        _budget.reset(token)


def _size(value: Any, limit: int = MAX_LENGTH) -> int:
    """Return the characters and items of a value, those of lists in lists too; raises SecurityError past the limit."""
    total, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (str, bytes)):
            total += len(each)
        elif isinstance(each, int) and each.bit_length() > _BITS:
            raise SecurityError("the number is too large")
        elif isinstance(each, Mapping):
            total += len(each)
            waiting += itertools.chain(each.keys(), each.values())
        elif isinstance(each, (list, tuple, set, frozenset)):
            total += len(each)
            waiting += each
        if total > limit:
            raise SecurityError(f"a value is too large: it has more than {limit:,} characters")
    return total


def _factor(value: Any) -> int:
    """Return how much longer an argument may make a text: a number is a width, or so many times."""
    if isinstance(value, (int, float)):
        return int(min(abs(value), 1 << 40)) if not math.isnan(value) else 0
    return _size(value)


def _check_product(given: Any, arguments: Iterable[Any]) -> None:
    """Refuse what may be long before it is made: no function of a text makes more than its lengths multiplied."""
    product = _factor(given) + 1
    for each in arguments:
        product *= _factor(each) + 1
        if product > 16 * MAX_LENGTH:
            raise SecurityError("the result is too large")


def _check_format(pattern: str, *, percent: bool) -> None:
    if percent:
        wide = _WIDE.search(pattern) is not None
    else:
        specs = [spec or "" for _, _, spec, _ in string.Formatter().parse(pattern)]
        wide = any("{" in spec or re.search(r"\d{5}", spec) for spec in specs)
    if wide:
        raise SecurityError("the width of a format is too large, or is no plain number")


@pass_context  # so that no expression with it is worked out while the text is compiled
def _made(context: Context, value: Any) -> Any:
    """Charge a value that was just made; what comes one by one is taken now, and counted."""
    budget = _budget.get()
    if isinstance(value, Iterator):
        taken = []
        for each in value:
            budget.charge(_size(each))
            taken.append(each)
        return taken
    budget.charge(_size(value))
    return value


@pass_context
def _stepped(context: Context, values: Iterable[Any], size: int) -> Iterator[Any]:
    """Charge each step of a loop, with the plain text that stands in it."""
    budget = _budget.get()
    for each in values:
        budget.step(size)
        yield each


def _range(*given: int) -> range:
    numbers = range(*given)
    if len(numbers) > _STEPS:
        raise SecurityError(f"Range too big: it has {len(numbers):,} numbers, and {_STEPS:,} are allowed")
    return numbers


class _Counting(NodeTransformer):
    """Refuses what may repeat itself, and puts counters around loops and around all that makes values."""

    def __init__(self) -> None:
        self._loops = 0

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        for kind, name in _REFUSED.items():
            if isinstance(node, kind):
                raise TemplateSyntaxError(f"{name} cannot be used in a job", node.lineno)
        if isinstance(node, nodes.For):
            return self._loop(node)
        visited: nodes.Node = super().generic_visit(node, *args, **kwargs)
        target = getattr(node, "ctx", "load") == "store"
        makes = (nodes.BinExpr, nodes.Concat, nodes.Compare, nodes.Call, nodes.Filter, nodes.List, nodes.Tuple)
        if isinstance(node, (*makes, nodes.Dict, nodes.Getitem)) and isinstance(node, nodes.Expr) and not target:
            return _filtered(node, "_made", [])
        return visited

    def _loop(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise TemplateSyntaxError("recursive loops cannot be used in a job", node.lineno)
        if self._loops >= _LOOPS_DEEP:
            raise TemplateSyntaxError(f"loops are nested more than {_LOOPS_DEEP} deep", node.lineno)
        self._loops += 1
        super().generic_visit(node)
        self._loops -= 1
        size = sum(len(each.data) for part in node.body for each in _texts(part))
        node.iter = _filtered(cast(nodes.Expr, node.iter), "_stepped", [nodes.Const(size, lineno=node.lineno)])
        return node


def _texts(node: nodes.Node) -> Iterator[nodes.TemplateData]:
    if isinstance(node, nodes.TemplateData):
        yield node
    yield from node.find_all(nodes.TemplateData)


def _filtered(node: nodes.Expr, name: str, args: list[nodes.Expr]) -> nodes.Filter:
    return nodes.Filter(node, name, args, [], None, None, lineno=node.lineno)


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, in which everything is counted; `limited` gives each expansion its budget."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, cache_size=0, optimized=False, finalize=_made)
        self.globals = {"range": _range, "dict": dict, "namespace": self.globals["namespace"]}
        self.add_filters({name: each for name, each in self.filters.items() if name not in _FOREIGN})
        self.filters |= {"_made": _made, "_stepped": _stepped}

    def add_filters(self, filters: Mapping[str, Callable[..., Any]]) -> None:
        """Take these filters alone, each asked first whether what it would make is too long."""
        self.filters = {name: _guarded(name, each) for name, each in filters.items()}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template: nodes.Template = _Counting().visit(super()._parse(source, name, filename))
        return template

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse products, powers and formats that would be too large."""
        if operator == "%" and isinstance(left, str):
            _check_format(left, percent=True)
        elif operator == "*" and (hasattr(left, "__len__") or hasattr(right, "__len__")):
            _check_product(left, [right])
        elif operator == "**" and not (_is_small(left, 1 << 64) and _is_small(right, 1 << 6)):
            raise SecurityError("the power is too large")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse calls of builtin methods whose result would be too large."""
        _budget.get().charge(0)
        method = getattr(function, "__wrapped__", function)
        owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
        if isinstance(owner, _BUILTIN):
            _check_product(owner, [*args, *kwargs.values()])
            if isinstance(owner, str) and name in ("format", "format_map"):
                _check_format(owner, percent=False)
        return super().call(context, function, *args, **kwargs)


def _is_small(value: Any, limit: int) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= limit


def _guarded(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that looks at its arguments first; it keeps the marks that say what it wants to be given."""
    given = 1 if hasattr(work, "jinja_pass_arg") else 0

    @functools.wraps(work)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        _budget.get().charge(0)
        if len(args) > given:
            value = args[given]
            if name == "format" and isinstance(value, str):
                _check_format(value, percent=True)
            elif isinstance(value, _BUILTIN):
                _check_product(value, [*args[given + 1 :], *kwargs.values()])
        return work(*args, **kwargs)

    return guarded
