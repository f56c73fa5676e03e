"""What a run printed, for letters that want it: the end of it, from the store."""

import asyncio
import json
from typing import Final

import msgspec

from apsis.messages.body import decode
from apsis.messages.live import SAMPLES
from apsis.messages.outputs import OutputStat, ReadRange, Slice, Stats
from apsis_bus.peer import BusRefused, BusTimeout, Peer
from apsis_services.alerts.letters import Letter

#: bytes of the end of an output that are told
MOST: Final = 512 * 1024
#: seconds for which it is waited for what is still on its way, and for one answer
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.25
_ANSWER: Final = 3.0


def is_wanted(letter: Letter) -> bool:
    """Say whether a letter tells of the output."""
    if not letter.run_id or not letter.printed:
        return False
    action = letter.action
    return bool(action.get("attach_output")) or "output" in json.dumps({**action, "attach_output": None})


async def fetch(peer: Peer, letter: Letter) -> tuple[bytes, str]:
    """Return the end of what the run printed, and a remark on what is missing of it; it is never waited for long."""
    run_id, loop = letter.held_as or letter.run_id, asyncio.get_running_loop()
    until = loop.time() + _PATIENCE
    why, kept = "", b""
    while True:
        try:
            streams = await _streams(peer, run_id, letter.journal)
            kept, whole = await _read(peer, run_id, letter.journal, streams)
            if whole:
                total = sum(one.length for one in streams.values())
                cut = f"The output has {total} bytes; this is the end of it." if total > len(kept) else ""
                return kept, cut
            why = "part of the output had not come from its host yet"
        except BusRefused as refused:
            why = f"the output cannot be had ({refused.message or refused.code})"
        except (BusTimeout, msgspec.DecodeError):
            why = "the output cannot be had now"
        if loop.time() > until:
            return kept, f"Note: {why}."
        await asyncio.sleep(_PAUSE)


async def _streams(peer: Peer, run_id: str, journal: int) -> dict[str, Slice]:
    body, _ = await peer.request("store", OutputStat(run_id=run_id, journal=journal), timeout=_ANSWER)
    stats: Stats = decode(Stats, body)
    return {name: one for name, one in stats.streams.items() if name != SAMPLES}


async def _read(peer: Peer, run_id: str, journal: int, streams: dict[str, Slice]) -> tuple[bytes, bool]:
    kept = b""
    for stream, one in sorted(streams.items()):
        ask = ReadRange(
            run_id=run_id, stream=stream, start=max(0, one.length - MOST), stop=one.length, journal=journal
        )  # fmt: skip
        _, payload = await peer.request("store", ask, timeout=_ANSWER)
        kept += payload or b""
    return kept, bool(streams) and all(one.complete for one in streams.values())
