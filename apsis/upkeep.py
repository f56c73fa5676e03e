"""The process of the programs that care for Apsis itself: `python -m apsis.upkeep DEED JSON`.

It asks the server of the home that it runs in, as its administrator; what it prints is the answer, as JSON. Ends
with 0 when it is done, 1 when it was refused or broken off, 125 when it cannot ask.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from apsis.client import Client
from apsis.errors import ApsisError, Unavailable
from apsis.home import Home
from apsis.manager_socket import holder
from apsis.programs.base import NOT_CARRIED_OUT

#: runs that one request moves, and pages that one gives back: the scheduler goes on between two of them
STEP: Final = 200
PAGES: Final = 2_000
#: seconds for which a service that is being restarted is waited for
_PATIENCE: Final = 120.0
_PAUSE: Final = 1.0


class CannotAsk(ApsisError):
    """There is no home, no token or no server to be asked."""

    code = "cannot_ask"


def main() -> int:
    """Do one deed; return the exit status."""
    deed, given = sys.argv[1], json.loads(sys.argv[2])
    try:
        answer = DEEDS[deed](Asking(Home.find(None)), **given)
    except CannotAsk as error:
        return _fail(error, NOT_CARRIED_OUT)
    except ApsisError as error:
        return _fail(error, 1)
    except OSError as error:
        print(f"Error: {error.filename or ''}: {error.strerror}", file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0


class Asking:
    """The home's own server, looked for anew when it has gone: it may come back at another address."""

    def __init__(self, home: Home) -> None:
        self.home = home
        try:
            home.require()
            self._token = home.token.read_text().strip()
        except ApsisError as error:
            raise CannotAsk(error.message, hint=error.hint) from None
        except OSError as error:
            raise CannotAsk(
                f"the token {home.token} cannot be read: {error.strerror}",
                hint="this program runs on Apsis's own host, as Apsis's own user: leave `host` and `user` out",
            ) from None

    def get(self, path: str) -> dict[str, Any]:
        """Return what REST says."""
        return self._ask("GET", path, None)

    def do(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Have something done that may safely be asked for twice; return the answer."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                # asked again under the same key: what was done is not done twice
                client = Client(self._address(), self._token, timeout=60.0, patience=_PATIENCE)
                try:
                    found: dict[str, Any] = client.call(method, path, body=body)
                finally:
                    client.close()
            except Unavailable:
                # a service is restarted, or its disk is full for the moment; nothing was done, or all of it
                if time.monotonic() >= until:
                    raise
                time.sleep(_PAUSE)
            else:
                return found

    def _address(self) -> str:
        web = holder(self.home, "web")
        if not web or not web.get("address"):
            raise Unavailable(f"no server runs in {self.home.root}", hint="start it with: apsisctl start")
        return str(web["address"])


def stats(ask: Asking, path: str | None = None) -> dict[str, Any]:
    """Return the figures of now, and append them to a file."""
    health = ask.get("/health")
    found = {
        "time": datetime.now(UTC).isoformat(),
        **ask.get("/version"),
        "stats": ask.get("/stats"),
        "health": {"status": health.get("status"), "services": health.get("services")},
        "load": os.getloadavg(),
    }
    if path is not None:
        with (ask.home.root / path).open("a") as file:
            # one write: two programs that append to one file do not mix their lines
            file.write(json.dumps(found) + "\n")
    return found


def archive(ask: Asking, age: float, path: str, count: int, chunk_size: int, chunk_sleep: float) -> dict[str, Any]:
    """Move old runs into a file of their own, chunk by chunk."""
    moved, in_chunk, more = 0, 0, True
    while more and moved < count:
        step = min(STEP, count - moved, chunk_size - in_chunk)
        answer = ask.do("/control/archive", {"path": path, "age": age, "count": step})
        moved, in_chunk, more = moved + answer["archived"], in_chunk + answer["archived"], answer["more"]
        path = answer["path"]
        if in_chunk >= chunk_size:
            in_chunk = 0
            print(f"{moved} runs archived", flush=True)
            if more and moved < count:
                time.sleep(chunk_sleep)
    return {"archived": moved, "path": path, "more": more}


def vacuum(ask: Asking) -> dict[str, Any]:
    """Give all free pages back."""
    freed = 0
    while True:
        answer = ask.do("/control/vacuum", {"pages": PAGES})
        freed += answer["freed"]
        if not answer["left"] or not answer["freed"]:
            return {"freed_bytes": freed * answer["page_size"], "left_bytes": answer["left"] * answer["page_size"]}


def retention(ask: Asking) -> dict[str, Any]:
    """Remove what is no longer kept."""
    removed, more = 0, True
    while more:
        answer = ask.do("/control/retention", {})
        removed, more = removed + answer["removed"], answer["more"]
    return {"removed": removed}


DEEDS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "stats": stats,
    "archive": archive,
    "vacuum": vacuum,
    "retention": retention,
}


def _fail(error: ApsisError, status: int) -> int:
    print(f"Error: {error.message}" + (f"; {error.hint}" if error.hint else ""), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
