"""What keeps the scheduler from its work, in sentences for health: each with its reason and its remedy."""

from datetime import datetime

from apsis.runs.core.machine import Core


def problems(core: Core, now: datetime, why_stuck: str) -> list[str]:
    """Return them; `why_stuck` is why nothing can be committed, or ""."""
    found = []
    if why_stuck:
        found.append(f"{cannot_write(why_stuck)}; nothing is started")
    if core.clock_is_back(now):
        found.append("the clock is more than an hour behind the last commit; nothing is started")
    for host, lack in sorted(core.book.no_room.items()):
        found.append(f"nothing is started on host {host}: {lack}" if host else f"nothing is started: {lack}")
    if core.held:
        found.append(f"the last reload is held: {core.held}; reload with force if that is meant")
    return found


def warnings(core: Core) -> list[str]:
    """Return what keeps jobs from running because somebody wants it so."""
    pauses = core.book.pauses
    found = [f"{pauses[''].says('')}; `apsis resume --all` lets it go on"] if "" in pauses else []
    jobs = sorted(pauses.keys() - {""})
    if jobs:
        named = ", ".join(jobs[:5]) + (", ..." if len(jobs) > 5 else "")
        found.append(f"{len(jobs)} {'job is' if len(jobs) == 1 else 'jobs are'} paused: {named}")
    return found


def cannot_write(why: str) -> str:
    """Return the sentence for a commit that failed."""
    return f"the database cannot be written: {why}"
