"""REST as a patient client speaks it: what was not answered is asked again with the same key."""

import http.client
import json
import threading
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

#: seconds for one answer, between two tries, and in all
_ANSWER: Final = 15.0
_PAUSE: Final = 0.2
PATIENCE: Final = 120.0
#: the same for what is still on its way when the storm is over
LITTLE_PATIENCE: Final = 10.0


class Unanswered(Exception):
    """Nobody answered for as long as a patient client waits."""


class Rest:
    """One for all threads; each thread has a connection of its own."""

    def __init__(self, url: str, token: Path) -> None:
        self._netloc = urlsplit(url).netloc
        self._token = token.read_text().strip()
        self._local = threading.local()
        self._lock = threading.Lock()
        #: seconds that an answer is waited for, in all
        self.patience = PATIENCE
        #: how often something was asked again because no answer had come
        self.repeated = 0

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body."""
        return self._until_answered("GET", path, None, {})

    def post(self, path: str, body: object, key: str) -> tuple[int, dict[str, Any]]:
        """Do something once, however often it has to be asked for; returns status and answer."""
        status, data = self._until_answered("POST", path, json.dumps(body).encode(), {"Idempotency-Key": key})
        answer: dict[str, Any] = json.loads(data)
        return status, answer

    def _until_answered(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        began = time.monotonic()
        while True:
            try:
                status, data = self._once(method, path, body, headers)
                if status != http.client.SERVICE_UNAVAILABLE:
                    return status, data
                why = data.decode(errors="replace")[:300]
            except (OSError, http.client.HTTPException) as error:
                self._local.connection = None
                why = repr(error)
            if time.monotonic() > began + self.patience:
                waited = time.monotonic() - began
                raise Unanswered(f"{method} {path}: no answer in {waited:.0f} s; the last was {why}")
            with self._lock:
                self.repeated += 1
            time.sleep(_PAUSE)

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._netloc, timeout=_ANSWER)
            self._local.connection = connection
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers}
        connection.request(method, f"/api/v1{path}", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
