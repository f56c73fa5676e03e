"""The program type `http`: one request, made by a process of its own, and what is expected of the answer."""

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from apsis.addresses import allowed_addresses
from apsis.definitions.fields import Fields, FormError, shown
from apsis.definitions.forms import mapping_of, name, one_or_list, text
from apsis.programs.base import NOT_CARRIED_OUT
from apsis.programs.options import Options
from apsis.programs.process import ProcessProgram
from apsis.programs.python import module_words, payload
from apsis.programs.templated import BindError, Expand, has_template
from apsis.programs.values import checked, expanded, texts_of

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CLASS: Final = re.compile(r"([1-5])xx", re.IGNORECASE)
#: what the answer must be where nothing is said
DEFAULT_STATUS: Final[tuple[str, ...]] = ("2xx",)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSpec:
    """An `http` as a job file has it."""

    type: ClassVar[str] = "http"

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    #: a text, or what is sent as JSON; None: no body
    body: Any = None
    #: statuses that are good: `200`, `2xx`
    status: tuple[str, ...] = DEFAULT_STATUS
    #: what the answer, as JSON, must hold; None: anything
    json: Any = None
    options: Options = field(default_factory=Options)

    @classmethod
    def read(cls, fields: Fields) -> "HttpSpec":
        """Take the keys of an `http`."""
        status: tuple[str, ...] = DEFAULT_STATUS
        json: Any = None
        nested = fields.nested("expect", "expect")
        if nested is not None:
            status = tuple(nested.optional("status", one_or_list(_status), list(DEFAULT_STATUS)))
            if not status:
                nested.refuse("status", "the list is empty; no answer could ever be good")
            json = nested.optional("json", lambda value: checked(value, ()), None)
            fields.join(nested)
        return cls(
            url=fields.required("url", _url),
            method=fields.optional("method", _method, "GET"),
            headers=fields.optional("headers", _headers, {}),
            body=fields.optional("body", lambda value: checked(value, ()), None),
            status=status,
            json=json,
            options=Options.read(fields),
        )

    def bind(self, expand: Expand) -> ProcessProgram:
        """Return the program for one run; raises BindError."""
        url = expand(self.url, "program.url").strip()
        try:
            _url(url)
        except FormError as error:
            raise BindError("program.url", str(error)) from None
        headers = {key: expand(value, f"program.headers.{key}") for key, value in self.headers.items()}
        for key, value in headers.items():
            if (why := _wrong_value(value)) is not None:
                raise BindError(f"program.headers.{key}", why)
        body = expanded(self.body, "program.body", expand)
        request = {
            "url": url,
            "method": self.method,
            "headers": headers,
            "body": body,
            "expect": {"status": list(self.status), "json": expanded(self.json, "program.expect.json", expand)},
            # the names that the process puts in for `${NAME}`, so that no secret stands in the run
            "secrets": sorted(self.options.around.secrets),
            "allowed": allowed_addresses(),
        }
        bound = self.options.bind(expand).by_our_interpreter()
        return ProcessProgram(
            type=self.type,
            argv=(*module_words("apsis.programs.fetch"), payload(request)),
            details={"url": url, "method": self.method},
            error_exit_codes=(NOT_CARRIED_OUT,),
            **{key: getattr(bound, key) for key in bound.__slots__},
        )

    def texts(self) -> dict[str, str]:
        """Return each text in which templates are expanded, by the path of its key."""
        found = {"program.url": self.url, **texts_of(self.headers, "program.headers")}
        found |= texts_of(self.body, "program.body") | texts_of(self.json, "program.expect.json")
        return found | self.options.texts()

    def to_json(self) -> dict[str, Any]:
        """Return it as a job shows it: headers by name only."""
        shown_request: dict[str, Any] = {"type": self.type, "url": self.url, "method": self.method}
        if self.headers:
            shown_request["headers"] = sorted(self.headers)
        if self.body is not None:
            shown_request["body"] = self.body
        expect: dict[str, Any] = {"status": list(self.status)}
        if self.json is not None:
            expect["json"] = self.json
        return {**shown_request, "expect": expect, **self.options.to_json()}


def _url(value: Any) -> str:
    found = name(value)
    if has_template(found):
        return found
    if not re.match(r"https?://[^/?#]", found, re.IGNORECASE):
        raise FormError(f"expected an address like https://example.org/path, got {shown(found)}")
    if any(each <= " " or each == "\x7f" for each in found):
        raise FormError("an address has no spaces; write %20 for one, or {{ value | urlencode }}")
    if "@" in re.split(r"[/?#]", found.split("//", 1)[1])[0]:
        raise FormError("give the user and the password as a header `Authorization`, from a secret")
    return found


def _method(value: Any) -> str:
    found = text(value).upper()
    if found not in METHODS:
        raise FormError(f"expected one of {', '.join(METHODS)}; got {shown(value)}")
    return found


def _headers(value: Any) -> dict[str, str]:
    found = mapping_of(text)(value)
    for key, each in found.items():
        if not _TOKEN.fullmatch(key):
            raise FormError(f"{key!r} cannot be the name of a header", (key,))
        if not has_template(each) and (why := _wrong_value(each)) is not None:
            raise FormError(why, (key,))
    return found


def _wrong_value(value: str) -> str | None:
    if any(each in value for each in "\r\n\0"):
        return "a header stands on one line"
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return f"a header can hold Latin-1 alone, not {value!r:.60}"
    return None


def _status(value: Any) -> str:
    found = text(value)
    if not (_CLASS.fullmatch(found) or (found.isdigit() and 100 <= int(found) <= 599)):
        raise FormError(f"expected a status like 200, or 2xx for all of its kind, got {shown(value)}")
    return found.lower()
