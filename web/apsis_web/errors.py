"""The one shape of an error in REST, and which status each kind of error has."""

import http
from collections.abc import Mapping
from typing import Any, Final

from apsis.errors import ApsisError, Conflict, Denied, NotFound, Unavailable
from apsis.filters import FilterError
from apsis_web.asking import Damaged, Gone, Unfit

_STATUS: Final[tuple[tuple[type[ApsisError], int], ...]] = (
    (NotFound, 404),
    (Conflict, 409),
    (Denied, 403),
    (Unavailable, 503),
    (Gone, 410),
    (Damaged, 500),
)
#: codes of the scheduler's refusals that speak of the form, not of the meaning
_FORM: Final = frozenset({"bad_request", "too_slow", "body", "bad_filter"})
#: seconds after which to try again while a service is away
RETRY_AFTER: Final = 2


class Unauthorized(ApsisError):
    """Nobody is logged in."""

    code = "unauthorized"

    def __init__(self, message: str = "a login is needed") -> None:
        super().__init__(message, hint="send `Authorization: Bearer TOKEN`, with the token in the home's file `token`")


class TooMany(ApsisError):
    """Too often; `seconds` until it may be tried again."""

    code = "too_many"

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message, hint=f"wait {seconds} s")
        self.seconds = seconds


class TooLarge(ApsisError):
    """The body of a request is larger than allowed."""

    code = "too_large"


class NoSuchPath(NotFound):
    """Nothing is served at this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is nothing at {path[:200]}", hint="the paths are listed in the documentation of REST")


class BadMethod(ApsisError):
    """The path is right, the method is not."""

    code = "bad_method"


def status_of(error: ApsisError) -> int:
    """Return the HTTP status of an error."""
    match error:
        case Unauthorized():
            return 401
        case TooMany():
            return 429
        case TooLarge():
            return 413
        case BadMethod():
            return 405
        case Unfit():
            return 400 if error.code in _FORM and not error.findings else 422
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


def error_body(error: ApsisError, request_id: str) -> dict[str, Any]:
    """Return `{"error": {...}}`; findings and columns only where there are some."""
    shape: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "loc": error.loc,
        "request_id": request_id,
    }
    if isinstance(error, Unfit) and error.findings:
        shape["findings"] = error.findings
    if isinstance(error, FilterError):
        shape["at"] = list(error.at)
    return {"error": shape}


def plain_body(status: int, request_id: str) -> Mapping[str, Any]:
    """Return the body for an error that we did not foresee: its words stay in the log."""
    phrase = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else "error"
    hint = "the log of web has more under this request id; see `apsisctl logs web`" if status >= 500 else ""
    code = "internal" if status >= 500 else phrase.lower().replace(" ", "_")
    return {"error": {"code": code, "message": phrase.lower(), "hint": hint, "loc": "", "request_id": request_id}}
