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


def cannot_write(why: str) -> str:
    """Return the sentence for a commit that failed."""
    return f"the database cannot be written: {why}"
