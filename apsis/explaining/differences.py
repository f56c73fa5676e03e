"""Differences between two forecasts: what would be added, removed, or run at another time."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import msgspec

from apsis.explaining.forecast import Coming
from apsis.times import parse_time

#: args that follow the due time: two runs that differ in them alone are one that has moved
_OF_TIME: Final = frozenset({"time", "daytime", "schedule_time"})
#: a run that is due this much earlier or later is another one
_FAR: Final = timedelta(days=1)


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A run that would be due at another time."""

    job_id: str
    args: dict[str, str]
    before: str
    after: str


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """What another job directory would change of what will run, in order of time."""

    added: list[Coming]
    removed: list[Coming]
    moved: list[Moved]


def compare(before: Iterable[Coming], after: Iterable[Coming]) -> Differences:
    """Return what is in one forecast and not in the other; equal are job, args and due time."""
    old = {each.key: each for each in before}
    new = {each.key: each for each in after}
    gone = [each for key, each in old.items() if key not in new]
    come = [each for key, each in new.items() if key not in old]
    moved = list(_moved(gone, come))
    still = {id(each) for pair in moved for each in pair}
    return Differences(
        added=[each for each in come if id(each) not in still],
        removed=[each for each in gone if id(each) not in still],
        moved=[
            Moved(job_id=new.job_id, args=new.args, before=old.schedule_time, after=new.schedule_time)
            for old, new in moved
        ],
    )


def _moved(gone: list[Coming], come: list[Coming]) -> list[tuple[Coming, Coming]]:
    """Return the pairs of which one goes and the other comes: as many of a job and its args, each near its other."""
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[list[Coming], list[Coming]]]
    groups = defaultdict(lambda: ([], []))
    for index, runs in enumerate((gone, come)):
        for each in runs:
            args = tuple(sorted((name, value) for name, value in each.args.items() if name not in _OF_TIME))
            groups[each.job_id, args][index].append(each)
    pairs = []
    for olds, news in groups.values():
        if len(olds) == len(news) and all(_near(*pair) for pair in zip(olds, news, strict=True)):
            pairs += list(zip(olds, news, strict=True))
    return pairs


def _near(old: Coming, new: Coming) -> bool:
    return abs(parse_time(old.schedule_time) - parse_time(new.schedule_time)) < _FAR
