"""The action that makes an HTTP request: as JSON, or in the shapes that Slack and Teams take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from apsis.actions.action import shown
from apsis.actions.when import When
from apsis.definitions.fields import Fields, FormError
from apsis.definitions.fields import shown as shown_value
from apsis.definitions.forms import mapping_of, name, one_of, text

if TYPE_CHECKING:
    from apsis.conditions.binding import Binding

FORMATS: Final = ("json", "slack", "teams")
METHODS: Final = ("POST", "PUT", "PATCH", "GET", "DELETE")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: what Apsis says itself
_OWN: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def _url(value: Any) -> str:
    found = text(value).strip()
    try:
        parts = urlsplit(found)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        right = False
    # `${NAME}` may stand for the whole of it: the address of a hook is often a secret
    if not (right or found.startswith("${")) or re.search(r"[\s\x00-\x1f\x7f]", found):
        raise FormError(f"expected an address like https://example.com/hook, got {shown_value(value)}")
    return found


def _method(value: Any) -> str:
    found = text(value).upper()
    if found not in METHODS:
        raise FormError(f"expected one of {', '.join(METHODS)}; got {shown_value(value)}")
    return found


def _headers(value: Any) -> dict[str, str]:
    found = mapping_of(text)(value)
    for key, each in found.items():
        if not _HEADER.fullmatch(key) or key.lower() in _OWN:
            raise FormError(f"{key!r} cannot be a header here", (key,))
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", each):
            raise FormError(f"the header {key} has a line end or a control character in it", (key,))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAction:
    """Make a request. `${NAME}` in `url` and `headers` is the secret that `secrets` names so."""

    type: ClassVar[str] = "webhook"

    url: str
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    #: a template, expanded when it is sent; None: what Apsis writes
    body: str | None = None
    format: str = "json"
    #: name of the secret with which the body is signed
    secret: str | None = None
    #: name in this action: name of a secret
    secrets: dict[str, str] = field(default_factory=dict)
    when: When = field(default_factory=When)

    @classmethod
    def read(cls, fields: Fields) -> "WebhookAction":
        """Take the keys of a `webhook` action."""
        return cls(
            url=fields.required("url", _url),
            method=fields.optional("method", _method, "POST"),
            headers=fields.optional("headers", _headers, {}),
            body=fields.optional("body", text, None),
            format=fields.optional("format", one_of(*FORMATS), "json"),
            secret=fields.optional("secret", name, None),
            secrets=fields.optional("secrets", mapping_of(name), {}),
            when=When.read_in(fields),
        )

    def bind(self, binding: "Binding", key: str) -> "WebhookAction":
        """Return it as it is: its templates speak of the run's end."""
        return self

    def texts(self) -> Mapping[tuple[str | int, ...], str]:
        """Return the templates."""
        return {("body",): self.body} if self.body is not None else {}

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it."""
        return shown(
            self.type, self.when, url=self.url, method=None if self.method == "POST" else self.method,
            headers=self.headers, body=self.body, format=None if self.format == "json" else self.format,
            secret=self.secret, secrets=self.secrets,
        )  # fmt: skip
