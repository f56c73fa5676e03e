"""What all resources share: JSON in and out, the one shape of errors, and asking the scheduler."""

import logging
import re
import secrets
from typing import Any, Final, TypeVar

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.web import HTTPError

from apsis.errors import ApsisError, BadRequest, NotFound, Unavailable
from apsis.messages.body import encode
from apsis.messages.requests import Deed, Done
from apsis_web.errors import (
    RETRY_AFTER,
    BadMethod,
    NoSuchPath,
    TooMany,
    Unauthorized,
    error_body,
    plain_body,
    status_of,
)
from apsis_web.feed import now_micros
from apsis_web.gate import Gate
from apsis_web.rows import number_of

log = logging.getLogger("web")

_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_KEY: Final = re.compile(r"[!-~]{1,128}")
#: levels of a body, as of a job file
DEPTH_MAX: Final = 100
#: brackets, and the texts in which they mean nothing
_NESTING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
T = TypeVar("T")


class Resource(Gate):
    """A handler that speaks JSON."""

    #: the client has closed the connection
    hung_up = False

    def on_connection_close(self) -> None:
        """Note that nobody reads any more."""
        self.hung_up = True
        super().on_connection_close()

    def break_off(self) -> None:
        """Cut the connection: the client was promised more than can be sent, and must see that."""
        assert isinstance(self.request.connection, HTTP1Connection)
        stream = self.request.connection.stream
        if stream is not None:
            stream.close()

    def send(self, body: Any, status: int = 200) -> None:
        """Answer with JSON; `msgspec.Raw` parts go out as they are."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(encode(body))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the one shape of an error."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, HTTPError) and not isinstance(error, ApsisError):
            error = _known(error, self.request.method or "", self.request.path)
        if isinstance(error, ApsisError):
            self._add_headers(error)
            self.send(error_body(error, self.request_id), status_of(error))
            return
        log.error("request %s failed", self.request_id, extra={"event": "request_failed", "request": self.request_id})
        self.send(plain_body(status_code, self.request_id), status_code)

    def _add_headers(self, error: ApsisError) -> None:
        match error:
            case Unavailable():
                self.set_header("Retry-After", str(RETRY_AFTER))
            case TooMany():
                self.set_header("Retry-After", str(error.seconds))
            case Unauthorized():
                self.set_header("WWW-Authenticate", 'Bearer realm="apsis"')

    def body(self, kind: type[T]) -> T:
        """Return the request's body as a struct; an absent one is `{}`.

        Raises:
            BadRequest: it is not JSON, or not of this form; `loc` says where.
        """
        _check_depth(self.request.body)
        try:
            return msgspec.json.decode(self.request.body or b"{}", type=kind)
        except msgspec.ValidationError as error:
            text = str(error)
            place = _PLACE.search(text)
            raise BadRequest(_PLACE.sub("", text), hint=_hint_of(kind), loc=place.group(1) if place else "") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"the body is not JSON: {error}", hint="send an object, in UTF-8") from None

    def arguments_of(self, *known: str) -> dict[str, str]:
        """Return the query's arguments.

        Raises:
            BadRequest: one is not known, or given twice.
        """
        found = {}
        for name, values in self.request.query_arguments.items():
            if name not in known:
                names = ", ".join(known) or "none"
                raise BadRequest(f"unknown parameter {name[:80]!r}", hint=f"known here: {names}", loc=name[:80])
            if len(values) > 1:
                raise BadRequest(f"{name} is given {len(values)} times", loc=name)
            try:
                found[name] = values[0].decode()
            except UnicodeDecodeError:
                raise BadRequest(f"{name} is not UTF-8", loc=name) from None
        return found

    @property
    def now(self) -> int:
        """The time, µs."""
        return now_micros()

    async def do(self, deed: Deed, suffix: str = "") -> Done:
        """Have the scheduler do something, once for each `Idempotency-Key`.

        Raises:
            ApsisError: it is refused, or the scheduler is away.
        """
        caller = self.caller
        if caller is None:
            raise Unauthorized
        return await self.site.scheduler.do(deed, request_id=self.idempotency_key + suffix, actor=caller.actor)

    @property
    def idempotency_key(self) -> str:
        """The key that the client gave, so that the same again is done once; else a new one.

        Raises:
            BadRequest: it is no key.
        """
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return secrets.token_hex(16)
        if not _KEY.fullmatch(key):
            raise BadRequest("Idempotency-Key has 1 to 128 visible ASCII characters", loc="Idempotency-Key")
        return key

    def run_number(self, run_id: str) -> int:
        """Return the number of a run id.

        Raises:
            NotFound: it is no run id.
        """
        num = number_of(run_id)
        if num is None:
            raise NotFound(f"{run_id[:80]!r} is no run id", hint="run ids look like r123; `apsis runs` lists them")
        return num

    async def run_json(self, run_id: str) -> bytes:
        """Return a run, from the cache or the database.

        Raises:
            NotFound: there is none.
        """
        self.site.cache.require()
        num = self.run_number(run_id)
        row = self.site.cache.rows.get(num)
        if row is not None:
            return row.data
        stored = await self.site.database.run(num)
        if stored is None:
            raise NotFound(
                f"no run {run_id}", hint="it never was, or was removed by retention; `apsis runs` lists them"
            )
        return stored.doc


class Missing(Resource):
    """Whatever has no handler below `/api/`."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Say that there is nothing, to those who may know."""
        super().prepare()
        raise NoSuchPath(self.request.path)


def _known(error: HTTPError, method: str, path: str) -> ApsisError | None:
    """Return our word for what Tornado itself refuses."""
    match error.status_code:
        case 405:
            return BadMethod(f"{method} is not for {path[:200]}", hint="the documentation of REST lists the methods")
        case 404:
            return NoSuchPath(path)
        case 400:
            return BadRequest(error.log_message or "the request cannot be read")
    return None


def _check_depth(body: bytes) -> None:
    """Raise BadRequest if JSON is nested too deep: it is read and written by calls that go down with it."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for found in _NESTING.finditer(body):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found.group(), 0)
        if depth > DEPTH_MAX:
            raise BadRequest(f"the body is nested more than {DEPTH_MAX} levels deep", hint="send it flatter")


def _hint_of(kind: Any) -> str:
    fields = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
    return f"fields: {fields}" if fields else "an empty object"
