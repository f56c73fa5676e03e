"""The one tree of errors: a class for each situation, whose sentence says what the reader can do."""


class ApsisError(Exception):
    """Something that a person can act upon.

    `code` is the stable word for it in REST and in JSON; `hint` says what to do next; `loc` names the
    place in the input (a field path, a column or `file:line:column`), where there is one.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "", loc: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.loc = loc


class BadRequest(ApsisError):
    """The input cannot be understood."""

    code = "bad_request"


class NotFound(ApsisError):
    """There is no such job, run or output."""

    code = "not_found"


class Conflict(ApsisError):
    """The thing exists, but its state forbids what was asked."""

    code = "conflict"


class Denied(ApsisError):
    """The caller may not do this."""

    code = "denied"


class Unavailable(ApsisError):
    """A service that is needed is away for the moment; the same call may go through later."""

    code = "unavailable"


class ConfigError(ApsisError):
    """The configuration or the home folder cannot be used as it is."""

    code = "config"
