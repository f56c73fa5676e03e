"""The process of an `http` program: `python -m apsis.programs.fetch JSON` makes the request and judges the answer.

Prints the status line and the body. Ends with 0 where the answer is as expected, 1 where it is not or none comes,
125 where the request may not be made.
"""

import json
import os
import re
import sys
from typing import IO, Any, Final, NoReturn
from urllib.parse import urlsplit

import urllib3
from urllib3.response import BaseHTTPResponse

from apsis.addresses import AddressRefused, AddressUnknown, find_address
from apsis.programs.base import NOT_CARRIED_OUT

#: seconds: to connect, and between two pieces of the answer
CONNECT: Final = 30.0
SILENCE: Final = 300.0
_PIECE: Final = 64 * 1024
#: bytes of an answer that is looked into
JSON_MAX: Final = 16 * 1024 * 1024
_NAME: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def main() -> int:
    """Make the request that the command line says; return the exit status."""
    request = json.loads(sys.argv[1])
    try:
        return fetch(filled(request, request["secrets"], os.environ), request["allowed"], sys.stdout.buffer)
    except AddressRefused as error:
        _refuse(f"{error.message}; {error.hint}")
    except AddressUnknown as error:
        return _fail(f"{error.message}; {error.hint}")
    except urllib3.exceptions.HTTPError as error:
        return _fail(f"{request['method']} {request['url']}: {_short(error)}")


def filled(value: Any, names: list[str], environment: Any) -> Any:
    """Return a request in which `${NAME}` is the secret of that name; any other stays as it is."""
    if isinstance(value, str):
        return _NAME.sub(lambda found: environment.get(found[1], "") if found[1] in names else found[0], value)
    if isinstance(value, dict):
        return {key: filled(each, names, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, names, environment) for each in value]
    return value


def fetch(request: dict[str, Any], allowed: list[str], out: IO[bytes]) -> int:
    """Make a request and print the answer; return the exit status.

    Raises:
        AddressRefused, AddressUnknown: it may not go there, or there is no such place.
        urllib3.exceptions.HTTPError: no answer, or not a whole one.
    """
    url = urlsplit(request["url"])
    host, secure = url.hostname or "", url.scheme.lower() == "https"
    try:
        port = url.port or (443 if secure else 80)
    except ValueError:
        _refuse(f"{request['url']}: a port is 1 to 65535")
    address = find_address(host, port, allowed)
    timeout = urllib3.Timeout(connect=CONNECT, read=SILENCE)
    # the address that was looked at is connected to: asked for again, a name may have another one
    pool: urllib3.HTTPConnectionPool = (
        urllib3.HTTPSConnectionPool(
            address, port, timeout=timeout, retries=False, server_hostname=host, assert_hostname=host
        )
        if secure
        else urllib3.HTTPConnectionPool(address, port, timeout=timeout, retries=False)
    )
    headers, body = _content(request, url.netloc)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    with pool, pool.urlopen(
        request["method"], target, body=body, headers=headers, redirect=False, preload_content=False
    ) as answer:  # fmt: skip
        return _judge(answer, request["expect"], out)


def _content(request: dict[str, Any], netloc: str) -> tuple[dict[str, str], bytes | None]:
    """Return the headers and the body that are sent."""
    headers = {"Host": netloc, "User-Agent": "apsis", "Accept-Encoding": "gzip"}
    body = request["body"]
    data: bytes | None = None
    if isinstance(body, str):
        data = body.encode()
    elif body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    given = {name.lower() for name in request["headers"]}
    return {**{name: value for name, value in headers.items() if name.lower() not in given}, **request["headers"]}, data


def _judge(answer: BaseHTTPResponse, expect: dict[str, Any], out: IO[bytes]) -> int:
    """Print an answer, and return 0 if it is as expected, else 1 with the reason on stderr."""
    version = {10: "1.0", 11: "1.1"}.get(answer.version, str(answer.version))
    out.write(f"HTTP/{version} {answer.status} {answer.reason or ''}".rstrip().encode("latin-1", "replace") + b"\n\n")
    kept, size, wanted = [], 0, expect["json"]
    for piece in answer.stream(_PIECE, decode_content=True):
        out.write(piece)
        size += len(piece)
        if wanted is not None and size <= JSON_MAX:
            kept.append(piece)
    out.write(b"\n" if size else b"")
    out.flush()
    if not any(_matches(answer.status, each) for each in expect["status"]):
        to = answer.headers.get("Location")
        moved = f"; it is said to be at {to}, give that address" if 300 <= answer.status < 400 and to else ""
        return _fail(f"expected status {' or '.join(expect['status'])}, got {answer.status}{moved}")
    if wanted is None:
        return 0
    if size > JSON_MAX:
        return _fail(f"the answer has {size} bytes; one of {JSON_MAX} at most is looked into")
    try:
        found = json.loads(b"".join(kept))
    except (ValueError, RecursionError) as error:
        return _fail(f"expected JSON, but the answer is none: {error}")
    if (why := difference(wanted, found, "the answer")) is not None:
        return _fail(why)
    return 0


def difference(wanted: Any, found: Any, where: str) -> str | None:
    """Return where an answer is not as expected, or None. Of a mapping only the keys that are named are looked at."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return f"{where}: expected a mapping, got {_json(found)}"
        for key, each in wanted.items():
            if key not in found:
                return f"{where}: there is no {key!r}"
            if (why := difference(each, found[key], f"{where}.{key}")) is not None:
                return why
        return None
    # true is no 1, as JSON has it
    same = wanted == found and isinstance(wanted, bool) == isinstance(found, bool)
    return None if same else f"{where}: expected {_json(wanted)}, got {_json(found)}"


def _matches(status: int, wanted: str) -> bool:
    return status // 100 == int(wanted[0]) if wanted.endswith("xx") else status == int(wanted)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _short(error: Exception) -> str:
    """Return the sentence of a library's error without its objects."""
    text = re.sub(r"<[^<>]*object at 0x[0-9a-f]+>:?\s*", "", str(error))
    return re.sub(r"HTTPS?ConnectionPool\([^)]*\):?\s*", "", text).strip()


def _fail(why: str) -> int:
    print(f"Error: {why}", file=sys.stderr)
    return 1


def _refuse(why: str) -> NoReturn:
    print(f"Error: {why}", file=sys.stderr)
    sys.exit(NOT_CARRIED_OUT)


if __name__ == "__main__":
    sys.exit(main())
