"""The gate: every request passes it in `prepare()`, and is refused unless something says that it may pass.

In this order: a name that is ours, a login (unless the handler is `public`), for writes with a cookie the
XSRF token, a role.
"""

import hmac
import ipaddress
import secrets
import time
from typing import Any, ClassVar, Final

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from apsis.errors import ApsisError, Denied
from apsis_web.errors import TooLarge, TooMany, Unauthorized
from apsis_web.sessions import COOKIE, XSRF_HEADER, Caller
from apsis_web.site import Site

#: bytes of a request's body
BODY_MAX: Final = 1024 * 1024
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ROLES: Final = ("viewer", "operator", "admin")


class Gate(RequestHandler):
    """What all handlers stand on: nothing behind it is reached by who may not."""

    #: needs no login; said by a handler itself, never inherited by accident from a resource
    public: ClassVar[bool] = False
    #: the least role for a write, and for a read
    write_role: ClassVar[str] = "operator"
    read_role: ClassVar[str] = "viewer"

    def __init__(self, application: Application, request: HTTPServerRequest, **kwargs: Any) -> None:
        self.caller: Caller | None = None
        self.request_id = secrets.token_hex(6)
        super().__init__(application, request, **kwargs)

    @property
    def site(self) -> Site:
        """What is served."""
        found: Site = self.application.settings["site"]
        return found

    def set_default_headers(self) -> None:
        """Say what each answer says, errors too."""
        self.set_header("X-Request-Id", self.request_id)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.clear_header("Server")

    def prepare(self) -> None:
        """Let pass, or raise why not."""
        if not self.site.hosts.allows(self.request.host):
            raise Denied(
                "this server does not answer to that name",
                hint="use the address that `apsisctl status` shows, or set web.bind",
            )
        if len(self.request.body or b"") > BODY_MAX:
            raise TooLarge("the body is larger than 1 MiB", hint="send less")
        if type(self).__dict__.get("public", False) is True:
            return
        self.caller = self.authenticate()
        if self.caller is None:
            raise Unauthorized
        if self.request.method not in _SAFE and self.caller.xsrf is not None:
            self.refuse_foreign_pages()
            self._check_xsrf(self.caller.xsrf)
        needed = self.read_role if self.request.method in _SAFE else self.write_role
        if _ROLES.index(self.caller.role) < _ROLES.index(needed):
            raise Denied(f"this needs the role {needed}, and you are {self.caller.role}")

    def authenticate(self) -> Caller | None:
        """Return who asks; a token that is sent is the only thing that counts, even when a cookie is there too."""
        header = self.request.headers.get("Authorization")
        if header is None:
            return self.site.sessions.by_cookie(self.get_cookie(COOKIE), time.time())
        scheme, _, token = header.partition(" ")
        caller = self.site.sessions.by_token(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            # A bucket of its own, and a right token always passes: a script with an old token must lock nobody out.
            who = f"bearer {self.address}"
            self.refuse_many_failures(who)
            self.site.attempts.failed(who, time.monotonic())
            raise Unauthorized("this token is not known")
        return caller

    def refuse_many_failures(self, who: str) -> None:
        """Raise TooMany if there have been too many tokens that are not known."""
        if wait := self.site.attempts.wait(who, time.monotonic()):
            raise TooMany("too many failed logins", wait)

    @property
    def address(self) -> str:
        """The address of who asks; for IPv6 its network, since one person has many addresses."""
        text = self.request.remote_ip or ""
        try:
            ip = ipaddress.ip_address(text)
        except ValueError:
            return text
        return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else text

    def refuse_foreign_pages(self) -> None:
        """Raise Denied if a browser says that another site's page sent this."""
        origin = self.request.headers.get("Origin")
        foreign = origin is not None and not self.site.hosts.same_origin(origin, self.request.host)
        if foreign or self.request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise Denied("pages of other sites may not do this", hint="open the page at this server's own address")

    def _check_xsrf(self, expected: str) -> None:
        given = self.request.headers.get(XSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise Denied(
                f"the header {XSRF_HEADER} is missing or wrong",
                hint="take its value from GET /api/v1/session; a program should send a Bearer token instead",
            )

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Keep foreseen errors out of the log."""
        if not isinstance(value, ApsisError):
            super().log_exception(typ, value, tb)
