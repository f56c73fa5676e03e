"""Against floods: what goes to people is counted by the minute, and what is too much becomes one summary. Pure."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apsis_services.alerts.letters import Letter

#: seconds
WINDOW: Final = 60.0
#: letters of which a summary speaks one by one
_LISTED: Final = 50


@dataclass(slots=True)
class Flood:
    """How much goes to each target now."""

    most: int
    _sent: dict[str, deque[float]] = field(default_factory=dict)
    #: target: when its summary is due
    gathering: dict[str, float] = field(default_factory=dict)

    def lets_pass(self, letter: Letter, now: float) -> bool:
        """Count a letter in; False: it is kept for a summary, which is due at `gathering[target]`."""
        if not letter.is_for_people:
            return True
        sent = self._sent.setdefault(letter.target, deque())
        while sent and sent[0] <= now - WINDOW:
            sent.popleft()
        if letter.target in self.gathering or len(sent) >= self.most:
            self.gathering.setdefault(letter.target, now + WINDOW)
            return False
        sent.append(now)
        return True

    def due(self, now: float) -> list[str]:
        """Return the targets whose summary is due, and gather for them no more."""
        ready = [target for target, at in self.gathering.items() if at <= now]
        for target in ready:
            del self.gathering[target]
            self._sent.setdefault(target, deque()).append(now)
        for target in [target for target, sent in self._sent.items() if sent[-1] <= now - WINDOW]:
            del self._sent[target]
        return ready


def summary(letters: Sequence[Letter]) -> Letter:
    """Return the one letter that tells of several to one target, in order."""
    first, last = letters[0], letters[-1]
    states = Counter(str(letter.facts["state"]) for letter in letters)
    jobs = Counter(letter.job_id for letter in letters)
    words = ", ".join(f"{count} in {state}" for state, count in states.most_common())
    lines = [f"{letter.run_id} of {letter.job_id}: {_end(letter.facts)}" for letter in letters[:_LISTED]]
    if len(letters) > _LISTED:
        lines.append(f"... and {len(letters) - _LISTED} more, of {len(jobs)} jobs: {_most(jobs)}")
    action = {key: value for key, value in first.action.items() if key not in ("subject", "body", "attach_output")}
    facts: dict[str, Any] = {
        **first.facts,
        "event_id": f"{first.event_id}-summary",
        "event": "summary",
        "count": len(letters),
        "reason": f"{len(letters)} runs have ended: {words}",
        "lines": lines,
        "ended": last.facts["ended"],
        "url": str(first.facts["url"]).rpartition("/")[0],
    }
    return Letter(
        event_id=f"{first.event_id}-summary",
        origin=f"{first.origin}-summary",
        target=first.target,
        shown=first.shown,
        run_id="",
        job_id="",
        action=action,
        facts=facts,
    )


def _end(facts: dict[str, Any]) -> str:
    return f"{facts['state']}: {facts['reason']}" if facts["reason"] else str(facts["state"])


def _most(jobs: "Counter[str]") -> str:
    named = ", ".join(f"{job} ({count})" for job, count in jobs.most_common(10))
    return named + (", ..." if len(jobs) > 10 else "")
