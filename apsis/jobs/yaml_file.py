"""One YAML file: read safely into plain data, with the line and column of each value.

Scalars mean what YAML 1.1 makes of them, but for two things: a key is always the text that stands there (`on:` is
not True), and so is a date. Refused are duplicate keys, foreign tags, more than 1 MiB, more than 100 levels, and
aliases that would unfold into more than a file of that size can hold.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apsis.definitions.finding import Path
from apsis.times.daytimes import Sexagesimal

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 100
#: values in a file, with aliases unfolded
MAX_VALUES: Final = 100_000

#: characters of a number; Python takes quadratic time for long ones
_LONGEST_NUMBER: Final = 60
_TAG: Final = "tag:yaml.org,2002:"
_SEXAGESIMAL: Final = re.compile(r"\d+(:[0-5]?\d)+")
#: characters without which YAML cannot nest
_NESTING: Final = "[{:-?"

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Flaw(Exception):
    """What is wrong with a file as YAML, and where, from 1."""

    line: int
    column: int
    message: str
    code: str = "syntax"


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file, and where each part of it stands."""

    value: Any
    root: Node | None
    flaws: list[Flaw]

    def place(self, path: Path, at_key: bool) -> tuple[int, int, bool]:
        """Return line and column of the value (or key) at a path, else of what is nearest; and whether it was found."""
        node, found = self.root, True
        mark = node.start_mark if node else None
        for index, part in enumerate(path):
            key, child = _child(node, part)
            if child is None:
                found = False
                break
            last = index == len(path) - 1
            mark = key.start_mark if key is not None and last and at_key else child.start_mark
            node = child
        return (mark.line + 1, mark.column + 1, found) if mark else (1, 1, False)


def _child(node: Node | None, part: str | int) -> tuple[Node | None, Node | None]:
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == part), (None, None))
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None


def read_yaml(data: bytes) -> Document:
    """Return the content of a file; what is wrong with it is in `flaws`, and the value is then not to be used."""
    try:
        return _read(data)
    except Flaw as flaw:
        return Document(None, None, [flaw])


def _read(data: bytes) -> Document:
    if len(data) > MAX_BYTES:
        raise Flaw(1, 1, f"the file is larger than 1 MiB ({len(data)} bytes)", "too_large")
    text = _decoded(data)
    loader: Any = None
    try:
        # The composer goes down recursively in C: only what is known to be shallow may reach it.
        if sum(text.count(character) for character in _NESTING) > MAX_DEPTH:
            _check_depth(text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise Flaw(1, 1, "the file is empty; a job needs at least the key 'program'", "empty")
        reader = _Reader(loader)
        reader.measure(root, 0)
        value = reader.build(root)
        return Document(value, root, reader.flaws)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f" ({error.context})" if error.context else ""
        raise Flaw(
            mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, f"not YAML: {error.problem}{context}"
        ) from None
    except yaml.YAMLError as error:
        raise Flaw(1, 1, f"not YAML: {' '.join(str(error).split())}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise Flaw(line, column, "the file is not UTF-8 text") from None
    if "\0" in text:
        at = text.index("\0")
        raise Flaw(
            text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), "the file has a NUL character; is it text?"
        )
    return text


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
            if depth > MAX_DEPTH:
                mark: Any = event.start_mark
                raise Flaw(mark.line + 1, mark.column + 1, f"more than {MAX_DEPTH} levels deep", "too_deep")
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1


class _Reader:
    """Makes plain data from the nodes of one file."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.flaws: list[Flaw] = []
        #: number of values and of levels below a node that has been measured; None: it is being measured
        self._sizes: dict[int, tuple[int, int] | None] = {}

    def measure(self, node: Node, depth: int) -> tuple[int, int]:
        """Return how many values a node holds with aliases unfolded, and how many levels; refuse what is too much."""
        if isinstance(node, ScalarNode):
            return 1, 0
        known = self._sizes.get(id(node), (0, 0))
        if known is None:
            raise self._flaw(node, "an alias that contains itself", "alias")
        size, levels = known
        if not size:
            self._sizes[id(node)] = None
            size, levels = self._sum(node, depth)
            self._sizes[id(node)] = size, levels
        if size > MAX_VALUES:
            raise self._flaw(node, f"its aliases unfold into more than {MAX_VALUES} values", "alias")
        if depth + levels > MAX_DEPTH:
            raise self._flaw(node, f"more than {MAX_DEPTH} levels deep", "too_deep")
        return size, levels

    def _sum(self, node: Node, depth: int) -> tuple[int, int]:
        parts = [each for pair in node.value for each in pair] if isinstance(node, MappingNode) else node.value
        size, levels = 1, 1
        for part in parts:
            part_size, part_levels = self.measure(part, depth + 1)
            size, levels = size + part_size, max(levels, part_levels + 1)
        return size, levels

    def build(self, node: Node) -> Any:
        """Return the plain data of a node; flaws are noted, and go on being looked for."""
        if isinstance(node, MappingNode):
            return self._mapping(node)
        if isinstance(node, SequenceNode):
            if node.tag != f"{_TAG}seq":
                self.flaws.append(self._flaw(node, f"the tag {_tag(node)} is not known here", "tag"))
            return [self.build(each) for each in node.value]
        return self._scalar(node)

    def _mapping(self, node: MappingNode) -> Any:
        if node.tag not in (f"{_TAG}map", f"{_TAG}set"):
            self.flaws.append(self._flaw(node, f"the tag {_tag(node)} is not known here", "tag"))
        built: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                self._merge(value, merged)
            elif not isinstance(key, ScalarNode):
                self.flaws.append(self._flaw(key, "a key must be a text, not a list or a mapping", "key"))
            elif key.value in built:
                self.flaws.append(self._flaw(key, f"the key {key.value!r} stands there twice", "duplicate_key"))
            else:
                built[key.value] = self.build(value)
        if node.tag == f"{_TAG}set":
            return list(built)
        return {**merged, **built} if merged else built

    def _merge(self, value: Node, merged: dict[str, Any]) -> None:
        """Take the keys that `<<` brings; of several mappings the first wins, and the mapping's own keys above all."""
        for source in value.value if isinstance(value, SequenceNode) else [value]:
            content = self.build(source) if isinstance(source, MappingNode) else None
            if not isinstance(content, dict):
                self.flaws.append(self._flaw(source, "only mappings can be merged by <<", "key"))
                continue
            for key, each in content.items():
                merged.setdefault(key, each)

    def _scalar(self, node: Node) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind in ("str", "timestamp"):
            return node.value
        if kind in ("int", "float") and len(node.value) > _LONGEST_NUMBER:
            self.flaws.append(self._flaw(node, "the number is too large"))
            return None
        if kind == "int" and _SEXAGESIMAL.fullmatch(node.value):
            return Sexagesimal(self.loader.construct_yaml_int(node), node.value)
        if kind == "float" and ":" in node.value:
            # 10:30.5 would be 630.5, and pass as a time of day ten minutes after midnight
            return node.value
        if kind not in ("int", "float", "bool", "null"):
            self.flaws.append(self._flaw(node, f"the tag {_tag(node)} is not known here", "tag"))
            return None
        try:
            value = self.loader.construct_object(node)
        except (ValueError, KeyError):
            self.flaws.append(self._flaw(node, f"{node.value!r} is no {kind}"))
            return None
        if isinstance(value, float) and not math.isfinite(value):
            self.flaws.append(self._flaw(node, f"{node.value} is not a finite number"))
        if isinstance(value, int) and abs(value) >= 1 << 63:
            self.flaws.append(self._flaw(node, "the number is too large"))
        return value

    def _flaw(self, node: Node, message: str, code: str = "syntax") -> Flaw:
        return Flaw(node.start_mark.line + 1, node.start_mark.column + 1, message, code)


def _tag(node: Node) -> str:
    return str(node.tag).replace(_TAG, "!!")
