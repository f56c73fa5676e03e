"""Stillness: why nothing is starting at all, or what keeps those that wait."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from apsis.explaining.answers import Answer, Because
from apsis.explaining.knows import Knows

#: waiting runs that are looked at, and groups of them that are told
_LOOKED_AT: Final = 5_000
_TOLD: Final = 20
_SUBJECT: Final = "the installation"


def why_nothing(knows: Knows, checks: Sequence[Mapping[str, Any]], now: datetime) -> Answer:
    """Answer why nothing starts; `checks` are those of health, `{id, status, message}`."""
    because = [
        Because(kind="service", text=f"{each['id']}: {each['message']}", holds=False)
        for each in sorted(checks, key=lambda each: each["status"] != "fail")
        if each["status"] != "ok"
    ]
    stopped = any(each["status"] == "fail" for each in checks)
    held = knows.pause_of("")
    if held is not None:
        hint = "let it go on: apsis resume --all"
        because.append(Because(kind="pause", text=held.text, holds=False, at=held.at, hint=hint))
    waiting = knows.unfinished(None, ("waiting",), _LOOKED_AT)
    groups = Counter(run.reason for run in waiting)
    first = {run.reason: run for run in reversed(waiting)}
    for reason, count in groups.most_common(_TOLD):
        run = first[reason]
        text = f"{count} {'run waits' if count == 1 else 'runs wait'}: {reason or 'no reason is on record'}"
        because.append(Because(kind="waits", text=text, run_id=run.run_id, hint=f"apsis why {run.run_id}"))
    scheduled = knows.unfinished(None, ("scheduled",), 1)
    if scheduled:
        run = scheduled[0]
        because.append(Because(kind="next", text=f"{run.run_id} of {run.job_id} is next, due at {run.schedule_time}"))
    running = knows.unfinished(None, ("starting", "running", "stopping"), _LOOKED_AT)
    if running:
        latest = max(running, key=lambda run: run.timestamps.get("starting", ""))
        at = latest.timestamps.get("starting", "")
        because.append(Because(kind="running", text=f"{len(running)} run; {latest.run_id} was started last, at {at}"))
    return Answer(subject=_SUBJECT, answer=_verdict(because, stopped, bool(scheduled), bool(running)), because=because)


def _verdict(because: list[Because], stopped: bool, scheduled: bool, running: bool) -> str:
    if stopped:
        return next(each.text for each in because if each.kind == "service")
    for kind in ("pause", "waits"):
        found = next((each for each in because if each.kind == kind), None)
        if found is not None:
            return found.text
    if running:
        return "nothing keeps it: runs are on"
    if scheduled:
        return "nothing keeps it: nothing is due yet"
    return "nothing keeps it: no run is scheduled; see what the jobs' schedules say with `apsis jobs`"
