"""A transition wakes those alone whom it may let go on: the same few with ten and with ten thousand others waiting."""

import pytest
from asked_stage import NO_OP, AskedWorld
from runs_stage import SHELL

from apsis.runs.core.book import Book
from apsis.runs.core.lines import Line, Order
from apsis.runs.states import State

LOAD = {"program": SHELL, "params": ["date"]}
DEPENDS = {**LOAD, "condition": {"type": "dependency", "job_id": "load"}}
FILE = {**LOAD, "condition": {"type": "file", "path": "/data/{{ date }}"}}
DB = {"program": SHELL, "resources": {"db": 1}}
DUPLICATE = {"program": NO_OP, "params": ["date"], "condition": [{"type": "skip_duplicate"}, FILE["condition"]]}
COUNTS = [10, 2_000, pytest.param(10_000, marks=pytest.mark.nightly)]


def crowd(count: int) -> AskedWorld:
    """Return a world in which that many wait for each kind of thing."""
    world = AskedWorld(per_core=1_000_000, resources={"db": 1})
    world.load({"load": LOAD, "next": DEPENDS, "file": FILE, "db": DB, "other": {"program": NO_OP}, "dup": DUPLICATE})
    world.host()
    world.create("db")
    for number in range(count):
        world.create("next", date=str(number))
        world.create("file", date=str(number))
        world.create("dup", date="0")
        world.create("db")
    world.settle()
    return world


@pytest.mark.parametrize("count", COUNTS)
def test_an_unrelated_run_wakes_nobody(count: int) -> None:
    world = crowd(count)
    before = world.core.looks
    assert world.create("other").state in (State.RUNNING, State.SUCCESS)
    world.settle()
    assert world.core.looks - before == 1, "the run itself"


@pytest.mark.parametrize("count", COUNTS)
def test_one_step_wakes_as_many_with_few_as_with_many_waiting(count: int) -> None:
    world = crowd(count)
    host = world.hosts["local"]
    load = world.create("load", date="7")
    world.settle()
    looks = []
    holder = world.runs("db", "running")[0]
    waiting = world.runs("file", "waiting")[3]
    for happen in (
        lambda: host.finish(load.run_id, world.now),
        lambda: host.finish(holder.run_id, world.now),
        lambda: world.say(waiting, "holds"),
    ):
        before = world.core.looks
        happen()
        world.settle()
        looks.append(world.core.looks - before)
    assert looks == [1, 2, 1]


def test_steps_that_cannot_make_a_dependency_true_wake_nobody() -> None:
    world = AskedWorld(per_core=1_000)
    world.load({"load": LOAD, "next": DEPENDS})
    host = world.host()
    for _ in range(50):
        world.create("next", date="1")
    before = world.core.looks
    load = world.create("load", date="1")
    world.settle()
    assert world.core.looks - before == 1, "the run itself; that it starts and runs is nothing to those that wait"
    host.finish(load.run_id, world.now)
    world.settle()
    assert world.core.looks - before == 51


def test_a_dependency_is_answered_without_walking_through_the_runs(world: AskedWorld, monkeypatch) -> None:
    world.load({"load": LOAD, "next": DEPENDS})
    world.host()
    for _ in range(100):
        world.create("load", date="1")

    class Watched(dict):
        walks = 0

        def __iter__(self):
            Watched.walks += 1
            return super().__iter__()

        def values(self):
            Watched.walks += 1
            return super().values()

    book: Book = world.core.book
    monkeypatch.setattr(book, "rows", Watched(book.rows))
    monkeypatch.setattr(book, "unfinished", {key: Watched(runs) for key, runs in book.unfinished.items()})
    world.create("next", date="1")
    assert Watched.walks == 0


def test_a_line_gives_the_first_and_forgets_who_has_gone() -> None:
    line = Line()
    for number in range(1000):
        line.put(f"r{number}", Order(0, -number, number))
    for number in range(999, 0, -1):
        assert line.first() == f"r{number}"
        line.remove(f"r{number}")
    assert (line.first(), len(line), line.all()) == ("r0", 1, ["r0"])
    assert len(line._heap) < 50
    assert line.before(Order(0, 1, 0)) == "r0"
    assert line.before(Order(0, 0, 0)) is None
    line.remove("r0")
    assert line.first() is None


def test_one_who_stands_again_in_a_line_has_the_new_place() -> None:
    line = Line()
    line.put("a", Order(0, 1, 1))
    line.put("b", Order(0, 2, 2))
    line.remove("a")
    line.put("a", Order(0, 3, 1))
    assert line.all() == ["b", "a"]
    assert line.first() == "b"
