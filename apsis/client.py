"""The REST client: what `apsis` and people's scripts use. `Client(url, token)`; needs urllib3 alone.

Runs and jobs come as the dictionaries that REST answers with. Whatever is refused raises an error of
`apsis.errors` with the server's sentence and hint. Streams go on by themselves after a broken connection,
by event id or by byte, so that nothing is missed and nothing comes twice.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from apsis.errors import ApsisError, BadRequest, Conflict, Denied, NotFound, Unavailable

Json = dict[str, Any]

_PART: Final = 64 * 1024
#: hits of one request of a search
_HITS: Final = 1000
#: seconds without a byte after which a stream is asked for anew: the other end may be gone without a word
_SILENCE: Final = 30.0
_PAUSE: Final = 0.1
_PAUSE_MAX: Final = 2.0
_AWAY: Final = frozenset({502, 503, 504})
FINISHED: Final = frozenset({"success", "failure", "error", "skipped"})

_KINDS: Final[Mapping[int, type[ApsisError]]] = {
    400: BadRequest, 401: Denied, 403: Denied, 404: NotFound, 409: Conflict, 413: BadRequest, 422: BadRequest,
}  # fmt: skip


class ServerAway(Unavailable):
    """The server cannot be reached, or went away."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"cannot reach {url} ({why})",
            hint="Is the service running?  apsisctl status        Other server: --server URL or APSIS_SERVER",
        )


class Refused(ApsisError):
    """The server refused in a way that has no class of its own; 5xx names the request's id in its log."""


class Client:
    """REST under `URL/api/v1`. One call waits at most `timeout` seconds for an answer.

    While the server is away (it restarts), a call is tried again for `patience` seconds; a write carries a
    key by which the server knows it again, so it is done once.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 30.0, patience: float = 0.0) -> None:
        self.url = _checked(url)
        self.patience = patience
        #: called with a sentence each time that a stream was broken and goes on
        self.on_resumed: Callable[[str], None] = lambda _sentence: None
        #: told of the [start, stop) bytes that were left out of an output, where they would have come
        self.on_gap: Callable[[int, int], None] = lambda _start, _stop: None
        self._timeout = timeout
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "apsis-client"}
        self._was_open = False
        self._pool = urllib3.PoolManager(retries=False, maxsize=4)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    # what there is

    def runs(self, q: str = "", **window: Any) -> Json:
        """Return `{runs, total, exact, before, after, seq}`; window: limit, sort, before, after, anchor."""
        return self.call("GET", "/runs", {"q": q, **window})

    def run(self, run_id: str) -> Json:
        """Return one run."""
        return self.call("GET", f"/runs/{_part(run_id)}")

    def log(self, run_id: str) -> list[Json]:
        """Return the action log of a run, oldest first."""
        return list(self.call("GET", f"/runs/{_part(run_id)}/log")["log"])

    def jobs(self, q: str = "") -> Json:
        """Return `{jobs, errors, seq}`."""
        return self.call("GET", "/jobs", {"q": q})

    def job(self, job_id: str) -> Json:
        """Return one job."""
        return self.call("GET", f"/jobs/{_part(job_id)}")

    def job_versions(self, job_id: str) -> list[Json]:
        """Return the versions that a job has had, the newest first: `{version, since, changes, definition, ...}`."""
        return list(self.call("GET", f"/jobs/{_part(job_id)}/versions")["versions"])

    def run_version(self, run_id: str) -> Json:
        """Return the version of its job that a run was bound from; `changes`: the keys in which today's is another."""
        return self.call("GET", f"/runs/{_part(run_id)}/version")

    def health(self, *, examine: bool = False) -> Json:
        """Return `{status, checks, services, findings}`; with `examine` the records are examined now."""
        return self.call("GET", "/health", {"examine": 1} if examine else None)

    def why(self, *, run: str = "", job: str = "", **more: Any) -> Json:
        """Return `{subject, answer, because}` for a run, a job (more: on), a resource (more: resource), or for all."""
        path = f"/runs/{_part(run)}" if run else f"/jobs/{_part(job)}" if job else ""
        return self.call("GET", f"{path}/why", {name: value for name, value in more.items() if value})

    def missed(self, start: str = "", end: str = "") -> Json:
        """Return which due times in a window did not become runs."""
        return self.call("GET", "/missed", {name: at for name, at in (("from", start), ("to", end)) if at})

    def forecast(self, start: str, end: str, q: str = "", limit: int = 1_000) -> Json:
        """Return `{runs, left_out, cut_at}`: what will run from a time to another."""
        return self.call("GET", "/forecast", {"from": start, "to": end, "q": q, "limit": limit})

    def version(self) -> Json:
        """Return `{version, instance, home}`."""
        return self.call("GET", "/version")

    # what is done

    def create(self, body: Json) -> Json:
        """Make runs: `{job_id | job, args, schedule_time, stop_time, count, dry_run}`; returns `{runs, seq}`."""
        return self.call("POST", "/runs", body=body)

    def start_job(self, job_id: str, args: Mapping[str, str] | None = None, **more: Any) -> Json:
        """Make one run of a job and return it; more: schedule_time, stop_time."""
        return dict(self.create({"job_id": job_id, "args": dict(args or {}), **more})["runs"][0])

    def act(self, run_id: str, action: str, **order: Any) -> Json:
        """Do one of start, skip, stop, kill, signal, mark, rerun, abandon; returns `{run, seq}` (or `{runs, seq}`)."""
        return self.call("POST", f"/runs/{_part(run_id)}/{action}", body=order)

    def pause(self, job_id: str | None = None, reason: str = "") -> Json:
        """Hold a job, or everything; returns `{job_id, paused: {job_id, by, at, reason}, seq}`."""
        return self._hold("pause", job_id, reason)

    def resume(self, job_id: str | None = None, reason: str = "") -> Json:
        """Let a job, or everything, go on; `paused` is what holds it still, or null."""
        return self._hold("resume", job_id, reason)

    def _hold(self, verb: str, job_id: str | None, reason: str) -> Json:
        path = f"/control/{verb}" if job_id is None else f"/jobs/{_part(job_id)}/{verb}"
        return self.call("POST", path, body={"reason": reason})

    def reload(self, *, dry_run: bool = False, force: bool = False) -> Json:
        """Have the job directory read again; returns what was added, changed and removed."""
        flags = {"dry_run": dry_run, "force": force}
        return self.call("POST", "/jobs/reload", {name: 1 for name, value in flags.items() if value}, body={})

    # what is printed

    def outputs(self, run_id: str) -> dict[str, Json]:
        """Return the streams of a run: `{name: {length, complete, lines, gaps}}`."""
        return dict(self.call("GET", f"/runs/{_part(run_id)}/outputs")["outputs"])

    def tail(self, run_id: str, stream: str, count: int) -> Json:
        """Return the last lines as `{lines: [{n, offset, text}], total, length, complete}`."""
        return self.call("GET", f"/runs/{_part(run_id)}/output/{_part(stream)}/tail", {"count": count})

    def read_output(self, run_id: str, stream: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, stop) as they are stored, `stop` None: to the present end.

        What was left out of the output (its middle, beyond `max_bytes`) is not made up: `on_gap` is told of it.
        """
        known = self.outputs(run_id).get(stream, {})
        end_at = int(known.get("length", 0)) if stop is None else stop
        for gap, end in known.get("gaps", ()):
            if end <= start or gap >= end_at:
                continue
            if gap > start:
                yield from self._bytes(run_id, stream, start, gap)
            self.on_gap(max(gap, start), min(end, end_at))
            start = end
        if start < end_at:
            yield from self._bytes(run_id, stream, start, end_at)

    def follow_output(self, run_id: str, stream: str, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `start` on, and what is printed, until the output is complete; gaps as above."""
        yield from self._bytes(run_id, stream, start, None)

    def search_output(self, run_id: str, stream: str, q: str, **more: Any) -> Iterator[Json]:
        """Yield the lines that hold a text as `{line, offset, at, text, span}`; more: regex, ignore_case.

        Raises:
            ApsisError: it cannot be searched, or it took too long on a line.
        """
        start: int | None = 0
        path = f"/runs/{_part(run_id)}/output/{_part(stream)}/search"
        while start is not None:
            begun, start, over = start, None, False
            for line in self._lines(path, {"q": q, "from": begun, "limit": _HITS} | more):
                said = json.loads(line)
                if "error" in said:
                    raise refusal(422, line)
                if said.get("t") == "hit":
                    yield said
                elif said.get("done"):
                    over = True
                    start = said["next"] if said["next"] < said["length"] else None
            if not over:
                raise ServerAway(self.url, "the search was broken off")

    # what happens

    def events(self, since: int | None = None, q: str = "") -> Iterator[Json]:
        """Yield events after an id as they come, for ever; None: from now on."""
        if since is None:
            since = self.jobs("label:none-has-this")["seq"]
        while True:
            for line in self._lines("/events", {"since": since, "q": q, "follow": 1}):
                event = json.loads(line)
                since = event["id"]
                yield event
            self.on_resumed("reconnected, no events lost")

    def watch_runs(self, run_ids: Sequence[str]) -> Iterator[Json]:
        """Yield these runs as they are, then each whenever it changes, until all are finished."""
        q = "id:" + ",".join(run_ids)
        now = self.runs(q, limit=1000)
        found = {run["run_id"]: run for run in now["runs"]}
        for run_id in run_ids:
            run = found.get(run_id) or self.run(run_id)
            found[run_id] = run
            yield run
        left = {run_id for run_id, run in found.items() if run["state"] not in FINISHED}
        if not left:
            return
        for event in self.events(now["seq"], q):
            run = event.get("run")
            if run is None or run["run_id"] not in found:
                continue
            yield run
            if run["state"] in FINISHED:
                left.discard(run["run_id"])
                if not left:
                    return

    def call(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Json | None = None) -> Json:
        """Make one request and return its JSON.

        Raises:
            ApsisError: it was refused, by the kind of refusal; ServerAway: there is nobody to refuse it.
        """
        headers: dict[str, str] = {}
        data = None
        if body is not None:
            headers = {"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(16)}
            data = json.dumps(body).encode()
        response = self._ask(method, self._url(path, query), headers, data, patience=self.patience)
        return dict(json.loads(response.data or b"{}"))

    def _ask(
        self, method: str, url: str, headers: Json, data: bytes | None = None, *, patience: float, stream: bool = False
    ) -> urllib3.BaseHTTPResponse:
        """Return an answer that is none of a refusal; while the server is away, ask again for `patience` seconds."""
        timeout = urllib3.Timeout(connect=self._timeout, read=_SILENCE if stream else self._timeout)
        deadline = time.monotonic() + patience
        pause = _PAUSE
        while True:
            try:
                response = self._pool.request(
                    method, url, body=data, headers=self._headers | headers, timeout=timeout, preload_content=not stream
                )
                if response.status < 400:
                    return response
                error = refusal(response.status, response.data)
            except urllib3.exceptions.HTTPError as lost:
                error = ServerAway(self.url, _why(lost))
            if not isinstance(error, Unavailable) or time.monotonic() + pause > deadline:
                raise error
            time.sleep(pause)
            pause = min(2 * pause, _PAUSE_MAX)

    def _url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        return f"{self.url}/api/v1{path}" + (f"?{urlencode(given)}" if given else "")

    def _lines(self, path: str, query: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the whole lines of one answer; what is cut off in the middle is left out."""
        rest = b""
        for data in self._stream(path, query, {}):
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def _bytes(self, run_id: str, stream: str, start: int, stop: int | None) -> Iterator[bytes]:
        """Yield a range of an output; `stop` None: follow it to its end. A broken answer is gone on with."""
        at = start
        path = f"/runs/{_part(run_id)}/output/{_part(stream)}"
        while stop is None or at < stop:
            began, before = time.monotonic(), at
            last = "" if stop is None else stop - 1
            query = {} if stop else {"follow": 1, "gaps": "stop"}
            for data in self._stream(path, query, {"Range": f"bytes={at}-{last}"}):
                wanted = data if stop is None else data[: stop - at]
                at += len(wanted)
                yield wanted
            silent = time.monotonic() - began if at == before else 0.0
            if stop is None and (end := self._gap_at(run_id, stream, at)) is not None:
                self.on_gap(at, end)
                at = end
                continue
            if stop is None and self._has_ended(run_id, stream, at, silent):
                return
            if stop is not None and at < stop and silent:
                raise ServerAway(self.url, "the output does not come")
            if stop is None or at < stop:
                self.on_resumed("reconnected, no bytes lost")

    def _gap_at(self, run_id: str, stream: str, at: int) -> int | None:
        """Return where the gap ends that a position is in; None: it is in none."""
        known = self._patiently(lambda: self.outputs(run_id)).get(stream, {})
        return next((end for gap, end in known.get("gaps", ()) if gap <= at < end), None)

    def _has_ended(self, run_id: str, stream: str, at: int, silent: float) -> bool:
        """Say whether nothing more comes of a stream than the `at` bytes that were read."""
        known = self._patiently(lambda: self.outputs(run_id)).get(stream)
        if known is not None and known["complete"]:
            return at >= int(known["length"])
        if known is not None and silent < _SILENCE:
            return False
        # it has no such stream, or its end was lost: then what is missing does not come any more
        state = self._patiently(lambda: self.run(run_id))["state"]
        return state in FINISHED if known is None else state == "error"

    def _patiently(self, ask: Callable[[], Json]) -> Json:
        """Ask, and ask again while the server is away, within the patience of a stream."""
        before, self.patience = self.patience, max(self.patience, _SILENCE)
        try:
            return ask()
        finally:
            self.patience = before

    def _stream(self, path: str, query: Mapping[str, Any], headers: Json) -> Iterator[bytes]:
        """Yield what one answer brings; a break ends it like its end does, for the caller knows where it stands."""
        # once a stream was open the server is there, and comes back
        patience = max(self.patience, _SILENCE) if self._was_open else self.patience
        response = self._ask("GET", self._url(path, query), headers, patience=patience, stream=True)
        self._was_open = True
        try:
            while data := response.read1(_PART):
                yield data
        except urllib3.exceptions.HTTPError:
            return
        finally:
            response.close()


def refusal(status: int, body: bytes) -> ApsisError:
    """Return the error that an answer speaks of."""
    try:
        said = json.loads(body)["error"]
        message, hint, loc = said["message"], said.get("hint", ""), said.get("loc", "")
    except (ValueError, KeyError, TypeError):
        said, message, hint, loc = {}, f"the server answered {status}", "Is this the address of Apsis?", ""
    if status in _AWAY:
        return Unavailable(message, hint=hint, loc=loc)
    if status >= 500 and said.get("request_id"):
        hint = f"{hint}\nrequest {said['request_id']}".strip()
    error = _KINDS.get(status, Refused)(message, hint=hint, loc=loc)
    error.code = said.get("code", error.code)
    error.detail = said  # type: ignore[attr-defined]
    return error


def _checked(url: str) -> str:
    """Return a server's address without the slash at its end.

    Raises:
        BadRequest: it is no address.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        is_address = False
    if not is_address:
        raise BadRequest(f"{url!r} is no server's address", hint="write it as http://127.0.0.1:5883")
    return url.rstrip("/")


def _part(name: str) -> str:
    return quote(name, safe="")


def _why(lost: Exception) -> str:
    words = {
        urllib3.exceptions.NameResolutionError: "no such host",
        urllib3.exceptions.NewConnectionError: "connection refused",
        urllib3.exceptions.ConnectTimeoutError: "no answer",
        urllib3.exceptions.ReadTimeoutError: "no answer in time",
        urllib3.exceptions.SSLError: "its certificate is not accepted",
        urllib3.exceptions.ProtocolError: "the connection broke",
    }
    return next((word for kind, word in words.items() if isinstance(lost, kind)), str(lost))
