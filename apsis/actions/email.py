"""The action that sends a mail, by the server that `smtp` in apsis.yaml names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from apsis.actions.action import shown
from apsis.actions.when import When
from apsis.definitions.fields import Fields, FormError
from apsis.definitions.fields import shown as shown_value
from apsis.definitions.forms import boolean, one_or_list, text

if TYPE_CHECKING:
    from apsis.conditions.binding import Binding

#: what may stand in a mail's envelope: no blanks, no control characters, one @
_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]{1,64}@[A-Za-z0-9._-]{1,255}")
#: `Ann Lee <ann@example.com>`
_NAMED: Final = re.compile(r"([^<>\x00-\x1f\x7f]*)<([^<>]*)>")
_MOST: Final = 100


def address(value: Any) -> str:
    """Return the address of a mail, `ann@example.com` or `Ann Lee <ann@example.com>`, or raise FormError."""
    given = text(value).strip()
    named = _NAMED.fullmatch(given)
    if not _ADDRESS.fullmatch(named[2].strip() if named else given):
        raise FormError(f"expected an address like ann@example.com, got {shown_value(value)}")
    return given


def _addresses(value: Any) -> list[str]:
    parts: Any = value.split(",") if isinstance(value, str) else value
    found = one_or_list(address)(parts)
    if not 1 <= len(found) <= _MOST:
        raise FormError(f"expected 1 to {_MOST} addresses, got {len(found)}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailAction:
    """Send a mail. `subject` and `body` are templates, expanded when it is sent; None: what Apsis writes."""

    type: ClassVar[str] = "email"

    to: list[str]
    sender: str | None = None
    subject: str | None = None
    body: str | None = None
    #: what the run printed goes with it, the end of what is long
    attach_output: bool = False
    when: When = field(default_factory=When)

    @classmethod
    def read(cls, fields: Fields) -> "EmailAction":
        """Take the keys of an `email` action."""
        return cls(
            to=fields.required("to", _addresses),
            sender=fields.optional("from", address, None),
            subject=fields.optional("subject", text, None),
            body=fields.optional("body", text, None),
            attach_output=fields.optional("attach_output", boolean, False),
            when=When.read_in(fields),
        )

    def bind(self, binding: "Binding", key: str) -> "EmailAction":
        """Return it as it is: its templates speak of the run's end."""
        return self

    def texts(self) -> Mapping[tuple[str | int, ...], str]:
        """Return the templates."""
        found = {("subject",): self.subject, ("body",): self.body}
        return {path: value for path, value in found.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return it as a job file would have it."""
        return shown(
            self.type, self.when, to=self.to, from_=self.sender, subject=self.subject, body=self.body,
            attach_output=self.attach_output or None,
        )  # fmt: skip
