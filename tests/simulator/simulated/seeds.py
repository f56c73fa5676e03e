"""Which seeds are played: those that once found something, then 2,000, and 20,000 with `--nightly`."""

from simulated.play import play_all

#: seeds of one test, which also looks whether every fault and every step has come in them
AT_ONCE = 500
DEFAULT = 2_000
NIGHTLY = 20_000

#: seed: what it found (524, 1641 and 517 before the simulator had all its faults: they are other worlds by now)
FOUND = {
    5: "the core asked to be woken in the past while a host counted, and spun",
    10: "a page read before the last event was published was taken for a loss, and cost a snapshot",
    47: "a run stayed `running` for ever after a cut of the power that took its journal",
    309: "an ack of a report ended a HELLO that was lost, and nothing more was sent to that host",
    693: "a second stop after one that took the claim left the run `stopping` for ever",
    524: "a journal that a cut of the power brought back from the archive was never archived again",
    1641: "an inventory asked for before a second boot did not count what was claimed between the two",
    517: "a supervisor that began anew said floor 0, and the inventory it was asked for lay below its true one",
    6969: "an ack of an earlier life left a host and a restored database waiting for a report that both had given up",
    13377: "a run that was lost, and archived as such, was `running` for ever in a database put back from before",
    13619: "a stop that took the claim after a cut of the power had a run skipped that had run before it",
    1299: "a finished run that went by another number was taken over a second time by the next life of the scheduler",
    1541: "an end of a run that had not begun in a restored database was refused, acknowledged, and had no successors",
    3501: "an end that came before its run was known was acknowledged, then told as such, and had no successors",
    14724: "a stop took the claim of a run whose journal a cut of the power had taken, and it was `stopping` for ever",
    5184: "a run taken over under another number was given the end of the run that had that number on its host",
}

#: faults, and how often each comes at least in `AT_ONCE` seeds: about half as often as it does
FAULTS = {
    "message lost": 4000,
    "message doubled": 4000,
    "message late": 4000,
    "notice lost": 200,
    "request twice at once": 200,
    "request again": 600,
    "scheduler_killed": 120,
    "supervisor_killed": 120,
    "reader_killed": 70,
    "hub_killed": 40,
    "zygote_killed": 40,
    "zygote_fails": 25,
    "zygote refuses": 7,
    "shim_killed": 5,
    "second_zygote": 30,
    "reboot": 35,
    "power_cut": 40,
    "spool_wiped": 18,
    "old_words": 45,
    "events_deleted": 25,
    "jobs_changed": 12,
    "database_restored": 30,
    "scheduler killed before the commit": 20,
    "scheduler killed between commit and send": 15,
    "scheduler killed after a command": 1,
    "scheduler killed while it published": 2,
    "scheduler killed at a point": 40,
    "supervisor killed at a point": 15,
    "reader killed between effect and cursor": 25,
    "reader reset: floor": 3,
    "run lost": 5,
    "stop ordered": 80,
    "stop overtook start": 2,
    "program started": 2000,
}
#: steps of the state table (from, to) that no simulated life takes
UNTAKEN = {("new", "skipped")}
#: each other row of the table comes at least so often in `AT_ONCE` seeds
STEP = 1


def play_chunk(number: int) -> None:
    """Play `AT_ONCE` seeds, and look whether what was to happen in them did.

    Raises:
        AssertionError: with the story of the first seed that breaks a promise, or with what has not happened.
    """
    from apsis.runs.states import TABLE

    tally = play_all(range(number * AT_ONCE, (number + 1) * AT_ONCE))
    rare = {what: tally.happened[what] for what, least in FAULTS.items() if tally.happened[what] < least}
    assert not rare, f"too seldom in {AT_ONCE} seeds: {rare}"
    rows = {(old.value, new.value) for new, olds in TABLE.items() for old in olds} - UNTAKEN
    untaken = sorted(row for row in rows if tally.steps[row] < STEP)
    assert not untaken, f"steps that no run took in {AT_ONCE} seeds: {untaken}"
    assert not UNTAKEN & tally.steps.keys(), "a step is taken that was thought never to be"


def chunks(part: int, parts: int) -> list[int]:
    """Return the numbers of the chunks that one of several files plays."""
    return list(range(part, DEFAULT // AT_ONCE, parts))


def nightly_chunks(part: int, parts: int) -> list[int]:
    """Return those that it plays by night as well."""
    return list(range(DEFAULT // AT_ONCE + part, NIGHTLY // AT_ONCE, parts))
