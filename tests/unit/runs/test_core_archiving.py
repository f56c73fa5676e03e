"""What lies in an archive leaves the database, if it is still what was copied, and nobody needs it."""

from runs_stage import SHELL, World

from apsis.messages.events import SysEvent
from apsis.messages.requests import ArchiveRuns, Done, Failed, Request
from apsis.runs.core.inputs import Asked, Copied
from apsis.runs.states import FINISHED

NO_OP = {"program": {"type": "no-op"}}


def copied(world: World, *run_ids: str, request_id: str = "q", more: bool = False) -> Done | Failed:
    """Tell the core that these runs were copied as they are now."""
    runs = tuple((int(run_id[1:]), world.run(run_id).rev) for run_id in run_ids)
    return tell(world, runs, request_id=request_id, more=more)


def tell(
    world: World, runs: tuple[tuple[int, int], ...], *, request_id: str = "q", more: bool = False
) -> Done | Failed:
    request = Request(request_id=request_id, actor="user:ann", do=ArchiveRuns(path="/a.db", age=0))
    world.step(Copied(runs, "/a.db", more, Asked(request, token=1)))
    return world.replies[-1]


def left(world: World) -> list[str]:
    return sorted(row.run.run_id for row in world.tables.runs.values())


def ended(world: World, count: int) -> list[str]:
    made = [world.create("a").run_id for _ in range(count)]
    world.settle()
    assert all(world.run(run_id).state in FINISHED for run_id in made)
    return made


def test_copied_runs_go_and_everybody_is_told(world: World) -> None:
    world.load({"a": NO_OP})
    one, two, three = ended(world, 3)

    answer = copied(world, one, three, more=True)

    assert isinstance(answer, Done)
    assert answer.result == {"archived": 2, "more": True, "path": "/a.db"}
    assert left(world) == [two]
    event = world.tables.events[-1]
    assert isinstance(event, SysEvent)
    assert (event.kind, event.actor, event.detail["runs"]) == ("archived", "user:ann", [one, three])
    world.crash()
    assert left(world) == [two]


def test_a_run_that_has_changed_since_it_was_copied_stays(world: World) -> None:
    world.load({"a": NO_OP})
    (one,) = ended(world, 1)
    runs = ((1, world.run(one).rev),)
    world.act(one, "mark", state="failure")

    answer = tell(world, runs, more=True)

    assert isinstance(answer, Done)
    assert answer.result == {"archived": 0, "more": False, "path": "/a.db"}
    assert left(world) == [one]


def test_a_run_that_is_not_over_or_not_there_is_passed_over(world: World) -> None:
    world.load({"a": NO_OP, "long": {"program": {"type": "no-op", "duration": 3600}}})
    (one,) = ended(world, 1)
    lives = world.create("long").run_id

    answer = tell(world, ((1, world.run(one).rev), (2, world.run(lives).rev), (77, 1)))

    assert isinstance(answer, Done)
    assert answer.result["archived"] == 1
    assert left(world) == [lives]
    again = tell(world, ((1, 3),), request_id="another")
    assert isinstance(again, Done)
    assert again.result["archived"] == 0


def test_a_run_that_its_host_is_still_to_forget_stays_until_it_was_told(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run_id = world.create("a").run_id
    world.settle()
    host.finish(run_id, world.now)
    world.settle()
    assert world.run(run_id).state == "success"
    assert not host.forgotten

    kept = copied(world, run_id)
    world.advance(3600)
    assert host.forgotten == [run_id]
    gone = copied(world, run_id, request_id="later")

    assert isinstance(kept, Done)
    assert isinstance(gone, Done)
    assert (kept.result["archived"], gone.result["archived"]) == (0, 1)


def test_a_request_that_comes_again_is_answered_as_before(world: World) -> None:
    world.load({"a": NO_OP})
    one, two = ended(world, 2)

    first, second = copied(world, one), copied(world, two)

    assert first == second
    assert left(world) == [two]


def test_numbers_of_archived_runs_are_not_given_again(world: World) -> None:
    world.load({"a": NO_OP})
    made = ended(world, 3)
    copied(world, *made)
    world.crash()

    assert world.create("a").run_id == "r4"
