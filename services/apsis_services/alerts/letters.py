"""A letter: one action that is to be carried out for one run that has ended, with all that is needed for it."""

import zlib
from typing import Any

import msgspec

from apsis.runs.run import Run


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is delivered. It is written down when it is decided, and never changed."""

    #: the same at each attempt, by which a receiver knows one that it had already
    event_id: str
    #: one for each end and action: what is decided a second time is known by it
    origin: str
    #: where it goes: letters to one place go one after the other, and wait together where it cannot be reached
    target: str
    #: the same for people: without what may be secret
    shown: str
    run_id: str
    job_id: str
    #: as `to_json` of an action has it
    action: dict[str, Any]
    #: what templates may name, and what the receiver is told
    facts: dict[str, Any]
    #: of its run; templates may name them
    args: dict[str, str] = {}
    schedule_time: str | None = None
    #: number of the database under which the run's output lies, and the id there
    journal: int = 0
    held_as: str = ""
    #: how many bytes the run printed
    printed: int = 0

    @property
    def kind(self) -> str:
        """The type of its action."""
        return str(self.action["type"])

    @property
    def is_for_people(self) -> bool:
        """Whether a thousand of them are better told as one summary."""
        return self.kind == "email" or (self.kind == "webhook" and self.action.get("format", "json") != "json")


def target_of(action: dict[str, Any]) -> tuple[str, str]:
    """Return where an action goes: a key, and as people may see it (the path of a hook's address is often secret)."""
    kind = str(action["type"])
    if kind == "email":
        to = ", ".join(action["to"])
        return f"email {to}", to
    if kind == "webhook":
        url = str(action["url"])
        scheme, _, rest = url.partition("://")
        shown = f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}" if rest else url
        return f"webhook {shown} {zlib.crc32(url.encode()):08x}", shown
    if kind == "command":
        words = action.get("argv") or str(action.get("command", "")).split()
        shown = str(words[0]) if words else "command"
        return f"command {shown} {zlib.crc32(msgspec.json.encode(action)):08x}", shown
    return f"custom {kind} {zlib.crc32(msgspec.json.encode(action)):08x}", kind


def facts_of(run: Run, event_id: str, at: str, url: str) -> dict[str, Any]:
    """Return what is told of a run that has ended; `output` is added when it is sent."""
    exit_ = run.exit
    return {
        "event_id": event_id,
        "event": f"run.{run.state.value}",
        "state": run.state.value,
        "reason": run.reason,
        "exit_code": exit_.code if exit_ else None,
        "signal": exit_.signal if exit_ else None,
        "elapsed": run.elapsed,
        "late_by": run.late_by,
        "started": run.timestamps.get("running"),
        "ended": run.timestamps.get(run.state.value, at),
        "host": run.host,
        "attempt": run.attempt,
        "labels": run.labels,
        "url": f"{url}/runs/{run.run_id}" if url else "",
    }
