"""docs/bus.md says what the code does: every body with exactly its fields, every verb, every limit."""

import importlib
import pkgutil
import re
from pathlib import Path

import msgspec
import pytest

import apsis.messages
from apsis.runs import run
from apsis_bus import frames, limits, topics
from apsis_bus.frames import VERBS, Role

PAGE = (Path(__file__).parents[3] / "docs" / "bus.md").read_text()


def bodies() -> dict[str, type[msgspec.Struct]]:
    modules = [
        importlib.import_module(f"apsis.messages.{info.name}") for info in pkgutil.iter_modules(apsis.messages.__path__)
    ]
    found = {}
    for module in [*modules, run, frames]:
        for name, kind in vars(module).items():
            is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
            if is_struct and kind.__module__ == module.__name__ and name != "Body":
                found[name] = kind
    return found


def sections() -> dict[str, tuple[str | None, list[tuple[str, str]]]]:
    """Return name: (tag, [(field, default column)]) of each body on the page."""
    found = {}
    for text in PAGE.split("\n#### ")[1:]:
        title = re.match(r"(\w+)(?: \(`(\w+)`\))?\n", text)
        assert title, text[:80]
        rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE)
        assert title[1] not in found, f"{title[1]} stands there twice"
        found[title[1]] = (title[2], rows)
    return found


def test_every_body_stands_on_the_page_and_nothing_else() -> None:
    assert sections().keys() == bodies().keys()


@pytest.mark.parametrize("name", sorted(bodies()))
def test_each_field_of_a_body_stands_on_the_page_and_nothing_else(name: str) -> None:
    kind = bodies()[name]
    tag, rows = sections()[name]
    assert tag == kind.__struct_config__.tag
    fields = msgspec.structs.fields(kind)
    assert [field for field, _ in rows] == [field.encode_name for field in fields]
    required = [field.encode_name for field in fields if field.required]
    assert [field for field, default in rows if default == "required"] == required


def test_the_page_has_every_verb_and_who_may_use_it() -> None:
    rows = re.findall(r"^\| `([A-Z]+)` \|[^|]*\|[^|]*\| (\w+) \|", PAGE, re.MULTILINE)
    words = {frozenset(Role): "all", frozenset(Role) - {Role.CLIENT}: "services"}
    assert dict(rows) == {verb.decode(): words[rule.roles] for verb, rule in VERBS.items()}


def test_the_page_has_the_limits_as_they_are() -> None:
    table = PAGE.split("## Limits")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", table, re.MULTILINE))
    assert rows["a frame"] == f"{limits.MAX_FRAME // limits.MIB} MiB"
    assert rows["a published body"] == f"{limits.MAX_PUBLISHED // 1024} KiB"
    assert rows["a subscription"] == f"{limits.MAX_SUBSCRIPTION // 1024} KiB"
    assert rows["a topic, a name in `to`"] == f"{limits.MAX_TO // 1024} KiB"
    assert rows["what a client sends in one message"] == f"{limits.MAX_ASKED // 1024} KiB"
    assert rows["bytes that one peer has not read, control"] == f"{limits.UNREAD // limits.MIB} MiB"
    assert rows["clients at a time"] == f"{limits.CLIENTS:,}"
    ahead = f"{limits.AHEAD}, bulk {limits.BULK_QUEUE}"
    assert rows["messages of one sender that the hub has not looked at"] == ahead
    assert f"after each {limits.CONFIRM_EACH // limits.MIB} MiB" in PAGE
    assert rows["messages waiting for one peer, control"] == f"{limits.QUEUE:,}"
    assert rows["messages waiting for one peer, bulk"] == str(limits.BULK_QUEUE)
    assert rows["silence of a peer"] == f"{limits.FORGET:g} s"
    assert f"Send HB each {limits.HEARTBEAT:g} s. Without any answer for {limits.SILENCE:g} s" in PAGE


def test_the_page_has_every_topic() -> None:
    listed = set(re.findall(r"^\| `(v1/[^`]+)` \|", PAGE, re.MULTILINE))
    assert listed == {
        topics.run_event("JOB", "RUN", "EVENT"),
        topics.job_event("JOB"),
        topics.sys_event("KIND"),
        topics.HEARTBEAT,
        topics.hello("NAME", "NONCE"),
        topics.live_output("RUN"),
        topics.live_host("HOST"),
        topics.live_log("SERVICE"),
    }


def test_every_code_of_the_bus_stands_on_the_page() -> None:
    folder = Path(frames.__file__).parent
    said = set()
    for path in folder.glob("*.py"):
        said |= set(re.findall(r'(?:BadFrame|_refuse|\.no)\(\s*(?:[\w.]+, NO_ID, )?"(\w+)"', path.read_text()))
    listed = set(re.findall(r"^\| `(\w+)` \| (?:hub|services|scheduler)", PAGE, re.MULTILINE))
    assert said - listed == set()
    assert "unroutable" in said
