"""Who is asking: the home's token, and the signed cookie that a login gives."""

import hmac
import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
from tornado.web import create_signed_value, decode_signed_value

from apsis.errors import ConfigError
from apsis.home import Home

COOKIE: Final = "apsis_session"
XSRF_HEADER: Final = "X-XSRF-Token"
#: seconds that a login lasts
LIFETIME: Final = 7 * 86_400
_KEY_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how they said so."""

    user: str
    role: str
    #: what the cookie's bearer must send along with a write; None: a token was sent, which no foreign page can
    xsrf: str | None = None
    #: seconds since the epoch at which the login ends
    expires: float | None = None

    @property
    def actor(self) -> str:
        """As the scheduler and the action log name them."""
        return f"user:{self.user}"


class _Session(msgspec.Struct, frozen=True):
    id: str
    user: str
    role: str
    expires: float
    #: digest of the token of the login: a new token ends all sessions
    token: str


class Sessions:
    """Checks tokens and cookies."""

    def __init__(self, home: Home) -> None:
        self._token_file = home.token
        self._key = _read_key(home.keys / "cookie")

    def by_token(self, token: str) -> Caller | None:
        """Return who holds a token, or None."""
        known = self._token()
        # Both are hashed first, so that the time taken tells nothing of length or content.
        given, expected = self._digest("token", token), self._digest("token", known or secrets.token_hex())
        return Caller("admin", "admin") if hmac.compare_digest(given, expected) and known else None

    def log_in(self, caller: Caller, now: float) -> tuple[str, Caller]:
        """Return the cookie's value, and the caller as the cookie will name them."""
        token = self._token()
        session = _Session(
            secrets.token_hex(16), caller.user, caller.role, now + LIFETIME, self._digest("token", token or "")
        )
        value = create_signed_value(self._key, COOKIE, msgspec.json.encode(session), clock=lambda: now)
        return value.decode(), self._caller(session)

    def by_cookie(self, value: str | None, now: float) -> Caller | None:
        """Return whose login a cookie is; None if it is none of ours, too old, or its token was replaced."""
        if not value:
            return None
        plain = decode_signed_value(self._key, COOKIE, value, max_age_days=LIFETIME / 86_400, clock=lambda: now)
        if plain is None:
            return None
        try:
            session = msgspec.json.decode(plain, type=_Session)
        except msgspec.MsgspecError:
            return None
        token = self._token()
        if session.expires < now or token is None or session.token != self._digest("token", token):
            return None
        return self._caller(session)

    def _caller(self, session: _Session) -> Caller:
        return Caller(session.user, session.role, self._digest("xsrf", session.id), session.expires)

    def _digest(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), sha256).hexdigest()

    def _token(self) -> str | None:
        try:
            return self._token_file.read_text().strip() or None
        except (FileNotFoundError, PermissionError, UnicodeDecodeError):
            return None


def _read_key(path: Path) -> bytes:
    """Return the secret that signs cookies, made at the first start."""
    try:
        key = path.read_bytes()
        if len(key) < _KEY_LENGTH:
            raise ConfigError(f"{path} is damaged", hint="remove it; a new one is made, and people log in again")
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_LENGTH))
        temporary.replace(path)
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    return key
