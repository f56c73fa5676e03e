"""JSON as zygote and shim write and read it: no blanks, by the C halves of the json module alone.

The other half of that module (decoder, encoder, `re`, `enum`) is a megabyte that each fork would copy in part.
Where an interpreter lacks the C halves, the module itself does the same.
"""

from typing import Any, Final

try:
    from _json import encode_basestring_ascii, make_encoder, make_scanner
except ImportError:
    import json

    _ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)

    def encode(value: object) -> bytes:
        """Return a value as JSON.

        Raises:
            TypeError: JSON has no form for it.
        """
        return _ENCODER.encode(value).encode("ascii")

    def decode(data: bytes) -> Any:
        """Return what JSON says.

        Raises:
            ValueError: it is none.
        """
        return json.loads(data)

else:

    class _Context:
        """What the scanner asks for: nothing out of the ordinary."""

        strict = True
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = float

    def _refuse(value: object) -> str:
        raise TypeError(f"JSON has no form for {value!r}")

    _SCAN: Final = make_scanner(_Context)  # type: ignore[arg-type]
    _CHUNKS: Final = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, True)

    def encode(value: object) -> bytes:
        """Return a value as JSON.

        Raises:
            TypeError: JSON has no form for it.
        """
        return "".join(_CHUNKS(value, 0)).encode("ascii")

    def decode(data: bytes) -> Any:
        """Return what JSON says.

        Raises:
            ValueError: it is none.
        """
        text = data.decode().strip(" \t\r\n")
        try:
            value, end = _SCAN(text, 0)
        except StopIteration as stop:
            raise ValueError(f"no JSON at character {stop.value}") from None
        if end != len(text):
            raise ValueError(f"more than one JSON value: the first ends at character {end}")
        return value
