"""The base of all bodies, and the one place where they are encoded and decoded."""

import functools
from typing import Any

import msgspec


class Body(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", omit_defaults=True):
    """A message's body. Unknown fields are ignored, so that a newer sender is understood."""


_encoder = msgspec.json.Encoder()


def encode(body: object) -> bytes:
    """Return a body as JSON."""
    return _encoder.encode(body)


@functools.cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def decode(kind: Any, data: bytes) -> Any:
    """Return the body of a kind (a struct, or a union of structs) from JSON.

    Raises:
        msgspec.ValidationError, msgspec.DecodeError: it is no such body.
    """
    try:
        return _decoder(kind).decode(data)
    except RecursionError:
        # thousands of brackets from a stranger are a bad body, and no reason to end a process
        raise msgspec.DecodeError("the body is nested too deeply") from None
    except UnicodeDecodeError as error:
        # msgspec lets it pass through as it is; one byte 0xff in a HELLO ended the hub
        raise msgspec.DecodeError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
