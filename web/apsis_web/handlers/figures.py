"""What a run uses: its processes as they are now, asked of its host, and the series that was kept of it."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from apsis.errors import NotFound
from apsis.messages.live import SAMPLES, Sample
from apsis_web.asking import READ_SIZE
from apsis_web.handlers.resource import Resource
from apsis_web.places import place_of

#: states in which a program may live
_LIVE: Final = ("starting", "running", "stopping")
#: points of a series that one answer has; every so many are left out where there are more
_POINTS: Final = 600


class _Facts(msgspec.Struct, frozen=True):
    """What of a run says where its processes are."""

    state: str
    host: str | None = None


class Processes(Resource):
    """GET /runs/{id}/processes: the tree as its host saw it last, at most 2 s ago."""

    async def get(self, run_id: str) -> None:
        """Return `{run_id, live, host, at, processes, cpu, rss, ...}`; `live` is false where nothing is seen to run."""
        self.arguments_of()
        data = await self.run_json(run_id)
        facts = msgspec.json.decode(data, type=_Facts)
        answer: dict[str, Any] = {"run_id": run_id, "live": False, "host": facts.host, "processes": []}
        if facts.state in _LIVE and facts.host is not None:
            place = place_of(data, run_id, self.site.cache.journal)
            found = await self.site.supervisors.live(facts.host, place.run_id)
            for run in found.runs:
                tree = [_fields(process) for process in run.processes]
                answer |= _fields(run) | {"run_id": run_id, "live": True, "at": found.at, "processes": tree}
        self.send(answer)


class Samples(Resource):
    """GET /runs/{id}/samples: the series of figures, thinned to 600 points."""

    async def get(self, run_id: str) -> None:
        """Return `{samples: [{at, cpu, rss, processes, threads, read, written}]}`, oldest first."""
        self.arguments_of()
        place = place_of(await self.run_json(run_id), run_id, self.site.cache.journal)
        data = bytearray()
        try:
            while True:
                piece, more = await self.site.store.read(place, SAMPLES, len(data), len(data) + READ_SIZE)
                data += more
                if not more or len(data) >= piece.length:
                    break
        except NotFound:
            # too short for a look, or not carried yet
            data.clear()
        points = list(_points(bytes(data)))
        step = -(-len(points) // _POINTS) or 1
        self.send({"samples": points[::step]})


def _points(data: bytes) -> Iterator[dict[str, Any]]:
    """Yield the points; the last line may be on its way still."""
    for line in data.split(b"\n")[:-1]:
        sample = msgspec.json.decode(line, type=Sample)
        yield _fields(sample)


def _fields(body: msgspec.Struct) -> dict[str, Any]:
    """Return all fields, those that stand at their default too."""
    return {name: getattr(body, name) for name in body.__struct_fields__}
