"""The condition `http`: a request whose answer is as expected. Made from the machine of the scheduler."""

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from apsis.conditions.asked import Asked, Pace
from apsis.conditions.binding import Binding
from apsis.definitions.fields import Fields
from apsis.programs.http import HttpSpec
from apsis.programs.templated import BindError

#: the keys that it has in common with a program of this type
_KEYS: Final = ("url", "method", "headers", "body", "expect")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConditionSpec:
    """An `http` as a job file has it: the request is written as for a program of that type."""

    type: ClassVar[str] = "http"

    request: HttpSpec
    pace: Pace = field(default_factory=Pace)

    @classmethod
    def read(cls, fields: Fields) -> "HttpConditionSpec":
        """Take the keys of an `http`."""
        pace = Pace.read(fields)
        given = {key: value for key in _KEYS if (value := fields.take(key)) is not None}
        # where and as whom a program runs has no meaning here
        nested = Fields(given, fields.path, fields.findings, fields.what)
        request = HttpSpec.read(nested)
        fields.failed |= nested.failed
        return cls(request=request, pace=pace)

    def bind(self, binding: Binding, key: str) -> Asked:
        """Return the condition for one run."""
        try:
            program = self.request.bind(lambda value, name: binding.expand(value, _named(name, key)))
        except BindError as error:
            raise BindError(_named(error.key, key), error.message.removeprefix(f"{error.key}: ")) from None
        request = json.loads(program.argv[-1])
        return Asked(
            type=self.type,
            keys=request,
            text=f"{request['method']} {request['url']} answers as expected",
            interval=self.pace.interval,
            timeout=self.pace.timeout,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it."""
        shown = {key: value for key, value in self.request.to_json().items() if key in _KEYS}
        return {"type": self.type, **shown, **self.pace.to_json()}


def _named(name: str, key: str) -> str:
    """Return the key of a condition that is called as one of a program."""
    return name.replace("program", key, 1) if name.startswith("program") else name
