"""Making the request of a webhook: one attempt. Runs in a worker."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3

from apsis.addresses import AddressRefused, AddressUnknown, find_address
from apsis.home import Home
from apsis.programs.fetch import filled
from apsis_services.alerts.orders import Order, Outcome, Verdict
from apsis_services.alerts.texts import account, event_of, expanded, headline
from apsis_services.supervisor.starting.secret_files import Secrets

#: seconds to connect
_CONNECT: Final = 10.0
#: bytes of an answer that are looked at
_LOOKED_AT: Final = 4096
#: a receiver that is there, and does not take anything now
_NOT_NOW: Final = frozenset({408, 425, 429})


def send(order: Order) -> Outcome:
    """Make the request; a redirection is no delivery."""
    action = order.letter.action
    secrets = Secrets(Home(Path(order.home)), order.secrets).resolve(action.get("secrets", {}))
    given = filled({"url": action["url"], "headers": action.get("headers", {})}, list(secrets), secrets)
    body, kind = content(order)
    headers = {
        "User-Agent": "apsis",
        "Content-Type": kind,
        "X-Apsis-Event-Id": order.letter.event_id,
        "Idempotency-Key": order.letter.event_id,
    }
    if (name := action.get("secret")) is not None:
        key = Secrets(Home(Path(order.home)), order.secrets).resolve({"it": name})["it"]
        headers["X-Apsis-Signature"] = signature(key, body)
    own = {name.lower() for name in given["headers"]}
    headers = {name: value for name, value in headers.items() if name.lower() not in own} | given["headers"]
    return _request(order, str(action.get("method", "POST")), given["url"], headers, body)


def signature(key: str, body: bytes) -> str:
    """Return what a receiver compares: `sha256=` and the HMAC of the body with the shared secret, in hex."""
    return "sha256=" + hmac.new(key.encode("utf-8", "surrogateescape"), body, hashlib.sha256).hexdigest()


def content(order: Order) -> tuple[bytes, str]:
    """Return the body and its type; raises BindError where a template cannot be expanded."""
    action, letter = order.letter.action, order.letter
    own = expanded(order, action["body"], "body") if "body" in action else None
    shape = action.get("format", "json")
    if shape == "json" and own is not None:
        return own.encode(), "application/json" if _is_json(own) else "text/plain; charset=utf-8"
    value: Any = event_of(letter)
    if shape == "slack":
        value = {"text": own if own is not None else f"*{_escaped(headline(letter))}*\n{_escaped(account(letter))}"}
    elif shape == "teams":
        value = _card(headline(letter), own if own is not None else account(letter), str(letter.facts["url"]))
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), "application/json"


def _escaped(text: str) -> str:
    """Return a text in which Slack sees no links and no calls to everybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _card(title: str, text: str, url: str) -> dict[str, Any]:
    blocks = [
        {"type": "TextBlock", "text": title, "weight": "Bolder", "wrap": True},
        *({"type": "TextBlock", "text": line, "wrap": True, "spacing": "None"} for line in text.splitlines() if line),
    ]
    actions = {"actions": [{"type": "Action.OpenUrl", "title": "Open", "url": url}]} if url else {}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
        **actions,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _request(order: Order, method: str, url: str, headers: dict[str, str], body: bytes) -> Outcome:
    shown = order.letter.shown
    try:
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
    except ValueError:
        return Outcome(verdict=Verdict.REFUSED, text=f"{shown}: the address is none")
    if parts.scheme not in ("http", "https") or not host:
        return Outcome(verdict=Verdict.REFUSED, text=f"{shown}: the address does not begin with http:// or https://")
    try:
        # the address that was looked at is connected to: asked for again, a name may have another one
        address = find_address(host, port, order.allow)
    except AddressRefused as error:
        hint = f"where that is meant, name it in apsis.yaml: `alerts: {{allow: [{host}]}}`"
        return Outcome(verdict=Verdict.REFUSED, text=f"{error.message}; {hint}")
    except AddressUnknown as error:
        return Outcome(verdict=Verdict.UNREACHABLE, text=error.message)
    timeout = urllib3.Timeout(connect=min(_CONNECT, order.timeout), read=order.timeout)
    pool: urllib3.HTTPConnectionPool = (
        urllib3.HTTPSConnectionPool(
            address, port, timeout=timeout, retries=False, server_hostname=host, assert_hostname=host
        )
        if secure
        else urllib3.HTTPConnectionPool(address, port, timeout=timeout, retries=False)
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    netloc = parts.netloc.rpartition("@")[2]
    try:
        with pool, pool.urlopen(
            method, target, body=body, headers={"Host": netloc, **headers}, redirect=False, preload_content=False,
            assert_same_host=False,
        ) as answer:  # fmt: skip
            said = answer.read(_LOOKED_AT, decode_content=True) if answer.status >= 300 else b""
            return _outcome(shown, answer.status, answer.headers, said)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return Outcome(verdict=Verdict.UNREACHABLE, text=f"{shown} cannot be reached: {_plain(error)}")


def _outcome(shown: str, status: int, headers: Any, said: bytes) -> Outcome:
    words = " ".join(said.decode("utf-8", "replace").split())[:200]
    text = f"{shown} answered {status}" + (f": {words}" if words else "")
    if 200 <= status < 300:
        return Outcome(verdict=Verdict.DELIVERED, text=text)
    if 300 <= status < 400:
        to = str(headers.get("Location", ""))[:200]
        return Outcome(verdict=Verdict.AGAIN, text=f"{text}; it is said to be at {to}: give that address")
    after = str(headers.get("Retry-After", ""))
    return Outcome(
        verdict=Verdict.UNREACHABLE if status >= 500 or status in _NOT_NOW else Verdict.AGAIN,
        text=text,
        after=float(after) if after.isdecimal() and len(after) < 9 else None,
    )


def _plain(error: Exception) -> str:
    import re

    text = re.sub(r"<[^<>]*object at 0x[0-9a-f]+>:?\s*|HTTPS?Connection(Pool)?\([^)]*\):?\s*", "", str(error))
    return text.strip() or type(error).__name__
