"""Logging in and out: a token becomes a signed cookie."""

import time
from typing import Any

import msgspec

from apsis_web.errors import Unauthorized
from apsis_web.handlers.resource import Resource
from apsis_web.sessions import COOKIE, Caller


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person logs in with."""

    token: str


def _session(caller: Caller) -> dict[str, Any]:
    return {"user": caller.user, "role": caller.role, "xsrf": caller.xsrf}


class Login(Resource):
    """POST /login."""

    public = True

    def post(self) -> None:
        """Check the token and set the cookie."""
        self.refuse_many_failures(self.address)
        self.refuse_foreign_pages()
        caller = self.site.sessions.by_token(self.body(Credentials).token.strip())
        if caller is None:
            self.site.attempts.failed(self.address, time.monotonic())
            raise Unauthorized("this token is not known")
        self.site.attempts.succeeded(self.address)
        now = time.time()
        value, session = self.site.sessions.log_in(caller, now)
        self.set_cookie(
            COOKIE, value, expires=session.expires, path="/", httponly=True, samesite="Lax",
            secure=self.request.protocol == "https",
        )  # fmt: skip
        self.send(_session(session))


class Session(Resource):
    """GET /session."""

    def get(self) -> None:
        """Return who is logged in."""
        assert self.caller is not None
        self.send(_session(self.caller))


class Logout(Resource):
    """POST /logout."""

    write_role = "viewer"

    def post(self) -> None:
        """Take the cookie back."""
        self.clear_cookie(COOKIE, path="/", samesite="Lax")
        self.send({})
