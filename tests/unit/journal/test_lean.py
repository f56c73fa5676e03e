"""What stands in for large modules in the zygote does what they do, as far as it is asked."""

import ctypes
import errno
import json
import re
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apsis_services.supervisor.zygote import lean
from apsis_services.supervisor.zygote.journal import is_run_id
from apsis_services.supervisor.zygote.notation import decode, encode
from apsis_services.supervisor.zygote.pools import fill_pools
from apsis_services.supervisor.zygote.stamps import stamp

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_json_is_written_and_read_as_the_json_module_does(value):
    written = encode(value)
    assert written == json.dumps(value, separators=(",", ":")).encode()
    assert decode(written) == value
    assert decode(b" \n" + json.dumps(value, indent=1).encode() + b"\n") == value


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:0123tfn\\u ', max_size=20).map(str.encode))
def test_what_is_no_json_is_refused_as_the_json_module_refuses_it(data):
    try:
        expected = json.loads(data.decode())
    except ValueError:
        with pytest.raises(ValueError):
            decode(data)
    else:
        assert decode(data) == expected


def test_what_has_no_form_in_json_is_refused():
    with pytest.raises(TypeError, match="no form"):
        encode({"a": object()})


@given(st.text(alphabet="aZ09_.-/\0 é\n", max_size=6) | st.integers(98, 102).map(lambda count: "r" * count))
def test_a_run_id_is_what_may_stand_in_the_name_of_a_file(text):
    assert is_run_id(text) == bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", text))


@given(st.lists(st.integers(0, 4 * 10**18), max_size=5))
def test_a_stamp_does_not_depend_on_the_one_before(moments):
    fresh = [stamp(moment) for moment in sorted(moments)]
    assert [stamp(moment) for moment in sorted(moments, reverse=True)] == fresh[::-1]


SOURCE = '''
from typing import Any, ClassVar, Final, Literal, NamedTuple, NoReturn, Protocol, TypedDict, cast

class Point(NamedTuple):
    """A place."""

    x: int
    y: int = 2

    @property
    def sum(self) -> int:
        return self.x + self.y

    @classmethod
    def of(cls, pair: "tuple[int, int]") -> "Point":
        return cls(*pair)

class Nothing(NamedTuple):
    pass

def raised(call) -> str:
    try:
        return repr(call())
    except (TypeError, ValueError) as error:
        return type(error).__name__

class Shape(Protocol):
    def area(self) -> int: ...

class Facts(TypedDict, total=False):
    a: int | None

KIND: Final[Literal["a", "b"]] = "a"
ANY: Any | None = cast(int, 5)

def kind(value: Any) -> str:
    match value:
        case Point(x, y):
            return f"{x} {y}"
        case _:
            return ""

facts: Facts = {"a": 1}
found = [
    Point(1), Point(y=3, x=1), Point.of((4, 5)).sum, Point(1)._replace(y=9), Point(1)._asdict(), Point._fields,
    repr(Point(7)), kind(Point(1)), Point(1) == (1, 2), Point.__doc__, Point.__name__, ANY, KIND, facts,
    Nothing(), Nothing() == (), raised(Point), raised(lambda: Point(1, 2, 3)), raised(lambda: Point(1, z=2)),
    raised(lambda: Point(1)._replace(z=2)), hash(Point(1)), isinstance(Point(1), tuple),
]
'''


def test_classes_are_made_as_typing_makes_them(monkeypatch):
    found = []
    for module in (typing, lean._typing()):
        monkeypatch.setitem(__import__("sys").modules, "typing", module)
        names = {"__name__": "somewhere"}
        exec(SOURCE, names)
        found.append([str(one) for one in names["found"]])
    assert found[0] == found[1]


def test_c_functions_are_called_as_ctypes_calls_them():
    found = []
    for module in (ctypes, lean._ctypes()):
        libc = module.CDLL(None, use_errno=True)
        closed = libc.close(-1), module.get_errno()
        buffer = module.create_string_buffer(8)
        taken = libc.memset(buffer, 65, 3) != 0
        before = buffer.raw
        buffer.raw = bytes(8)
        missing = hasattr(libc, "no_such_function_of_c")
        found.append((closed, taken, before, buffer.raw, missing, libc.getpid()))
    assert found[0] == found[1]
    assert found[0][0] == (-1, errno.EBADF)


def test_filling_the_pools_is_bounded():
    assert len(fill_pools()) < 40_000
