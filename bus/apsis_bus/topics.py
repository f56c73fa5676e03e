"""Topics: prefixes whose every part is percent-encoded and ends in `/`, so that no topic is cut in mid-word.

A subscription is a prefix: `v1/ev/run/etl%2Fload/` hears all runs of the job `etl/load` and none of `etl/load2`.
"""

import functools
from typing import Final
from urllib.parse import quote, unquote

from apsis.messages.events import Event, JobEvent, RunEvent

VERSION: Final = "v1/"
#: all that the scheduler committed
EVENTS: Final = "v1/ev/"
#: the scheduler's heartbeat, which names the head
HEARTBEAT: Final = "v1/hb/"
#: the hub's answer to a subscription
HELLO: Final = "v1/hello/"
#: never replayed
LIVE: Final = "v1/live/"


def topic(*parts: str) -> str:
    """Return `v1/` and the parts, each encoded and ended.

    Raises:
        ValueError: a part is empty.
    """
    if not all(parts):
        raise ValueError(f"a part of a topic is empty: {parts!r}")
    return VERSION + "".join(_encoded(part) + "/" for part in parts)


def _encoded(part: str) -> str:
    # most are ids and names of states, and there are five in the topic of each event
    return part if part.isascii() and part.isalnum() else _quoted(part)


@functools.lru_cache(maxsize=1024)
def _quoted(part: str) -> str:
    return quote(part, safe="")


def parts(text: str) -> list[str]:
    """Return the parts of a topic, decoded, without the version."""
    return [unquote(part) for part in text.removeprefix(VERSION).split("/") if part]


def run_event(job_id: str, run_id: str, state: str) -> str:
    """Return the topic of a change of a run."""
    return topic("ev", "run", job_id, run_id, state)


def job_event(job_id: str) -> str:
    """Return the topic of a change of a job."""
    return topic("ev", "job", job_id)


def sys_event(kind: str) -> str:
    """Return the topic of what happened to the installation itself."""
    return topic("ev", "sys", kind)


def of_event(event: Event) -> str:
    """Return the topic on which an event is published."""
    match event:
        case RunEvent():
            return run_event(event.job_id, event.run_id, event.event)
        case JobEvent():
            return job_event(event.job_id)
        case _:
            return sys_event(event.kind)


def live_output(run_id: str) -> str:
    """Return the topic on which a run's growing output is told."""
    return topic("live", "out", run_id)


def live_host(host: str) -> str:
    """Return the topic of a host's figures."""
    return topic("live", "host", host)


def live_log(service: str) -> str:
    """Return the topic of a service's log lines."""
    return topic("live", "log", service)


def hello(peer: str, nonce: str) -> str:
    """Return the topic on which the hub welcomes one subscriber, once."""
    return topic("hello", peer, nonce)
