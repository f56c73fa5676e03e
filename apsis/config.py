"""The configuration of an installation: `apsis.yaml`, read once, at the edge of a process.

Everything has a default, so an empty file is a whole configuration. A key that is not known is an error
that names the nearest known one.
"""

import difflib
import re
import typing
from pathlib import Path
from typing import Any, Final

import msgspec

from apsis.errors import ConfigError
from apsis.home import Home

MIB = 1024 * 1024
#: seconds; a longer time is a slip of the keyboard, and cannot be added to a date
_CENTURY: Final = 100 * 365 * 86_400.0
#: key: least and largest value, each allowed; what may be null is only held to them where it is not
_BOUNDS: Final = {
    "web.port": (0, 65_535),
    "schedule.horizon": (1, _CENTURY),
    "schedule.max_ahead": (1, 1_000_000),
    "schedule.max_age": (0, _CENTURY),
    "runs.lookback": (0, _CENTURY),
    "waiting.max_time": (0, _CENTURY),
    "disk.min_free_percent": (0, 100),
    "disk.min_free_bytes": (0, 1 << 62),
    "output.max_bytes": (1, 1 << 62),
    "output.keep.days": (0, 36_525),
    "output.keep.count": (1, 1 << 62),
    "output.keep.bytes": (1, 1 << 62),
    "output.total_bytes": (1, 1 << 62),
    "output.spare": (0, 100),
    "smtp.port": (0, 65_535),
    "smtp.timeout": (1, 600),
    "alerts.max_per_minute": (1, 100_000),
    "alerts.give_up": (0, _CENTURY),
    "alerts.timeout": (1, 600),
}
_LEVELS: Final = ("debug", "info", "warning", "error")
_TLS: Final = ("none", "starttls", "tls")
#: msgspec's words for what is expected, in those of one who writes the file
_EXPECTED: Final = {
    "int": "a whole number", "float": "a number", "float | null": "a number or null", "str": "a text",
    "object": "a mapping of keys to values",
}  # fmt: skip
_MISMATCH: Final = re.compile(r"Expected `(.+)`, got `.+?` - at `\$\.([a-z_.]+)`")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the file whose keys are all known."""


class Web(Section, frozen=True, kw_only=True):
    """Where the page and REST listen."""

    bind: str = "127.0.0.1"
    #: 0 takes a free one
    port: int = 5883


class Schedule(Section, frozen=True, kw_only=True):
    """How runs are made ahead; seconds."""

    horizon: float = 86_400.0
    max_ahead: int = 100
    #: due times older than this are recorded and not run; None: no limit
    max_age: float | None = None
    #: due times before this are recorded and not run: `now`, how long before a start, or a time; None: no limit
    since: str | float | None = None


class Runs(Section, frozen=True, kw_only=True):
    """How long finished runs stay in memory for the page; seconds. Older ones come from the database."""

    lookback: float = 7 * 86_400.0


class Waiting(Section, frozen=True, kw_only=True):
    """How long a run may wait for its conditions; seconds, None: for ever."""

    max_time: float | None = None


class Keep(Section, frozen=True, kw_only=True):
    """How long outputs are kept, where their job does not say: whichever limit comes first; None: no limit.

    Days since the end of the run; outputs of one job; bytes on the disk of all outputs of one job.
    """

    days: float | None = None
    count: int | None = None
    bytes: int | None = None


class Output(Section, frozen=True, kw_only=True):
    """How much of what runs print is kept, and how long."""

    #: bytes of a run's output, head and tail, where its job does not say
    max_bytes: int = 256 * MIB
    keep: Keep = Keep()
    #: bytes on the disk of all outputs together: the oldest go first; None: no limit
    total_bytes: int | None = None
    #: per cent of the disk: with less free, the middles of the largest outputs that the store has not got are given up
    spare: float = 2.0


class Disk(Section, frozen=True, kw_only=True):
    """How much must be free, on the disks of the database and of each spool, for anything new to be started.

    The smaller of the two counts; with either at 0 nothing is ever held up. ADR 6 says why.
    """

    min_free_percent: float = 10.0
    min_free_bytes: int = 2 * 1024 * MIB


class Http(Section, frozen=True, kw_only=True):
    """What the requests that jobs make may reach besides public addresses: names of hosts, addresses, networks; `*`."""

    allow_private: list[str] = []


class SmtpAuth(Section, frozen=True, kw_only=True):
    """Who one is to the mail server. `secret` names the secret that is the password, and is better than it."""

    username: str
    password: str | None = None
    secret: str | None = None


class Smtp(Section, frozen=True, kw_only=True, rename={"sender": "from"}):
    """The server that takes mails."""

    host: str = "localhost"
    #: 0: 465 with `tls: tls`, else 25
    port: int = 0
    #: `none`, `starttls`, or `tls` from the first byte
    tls: str = "none"
    #: who they are from; empty: `apsis@` and the name of this machine
    sender: str = ""
    auth: SmtpAuth | None = None
    #: seconds that one step of the talk with it may take
    timeout: float = 20.0


class Alerts(Section, frozen=True, kw_only=True):
    """How alerts are sent."""

    #: what webhooks may reach though it is not public: names, addresses, networks (`10.0.0.0/8`), or `*`
    allow: list[str] = []
    #: mails, and messages to Slack or Teams, to one place in a minute; the rest come as one summary
    max_per_minute: int = 30
    #: seconds after which what could not be delivered is given up
    give_up: float = 86_400.0
    #: seconds that a receiver of a webhook may take
    timeout: float = 20.0
    #: where people reach the page, for links; empty: where it listens
    url: str = ""


class Log(Section, frozen=True, kw_only=True):
    """How much the services log: `debug`, `info`, `warning` or `error`."""

    level: str = "info"


class Settings(Section, frozen=True, kw_only=True):
    """All that is not a path."""

    web: Web = Web()
    schedule: Schedule = Schedule()
    runs: Runs = Runs()
    waiting: Waiting = Waiting()
    output: Output = Output()
    disk: Disk = Disk()
    log: Log = Log()
    http: Http = Http()
    smtp: Smtp = Smtp()
    alerts: Alerts = Alerts()
    #: what is done when any run has ended, as the key `action` of a job says it
    action: Any = None
    resources: dict[str, int] = {}
    #: name of a secret: the file that holds it, from the home; others are `keys/secrets/NAME`
    secrets: dict[str, str] = {}
    #: short name: `package.module.Class`, for classes of your own
    program_types: dict[str, str] = {}
    schedule_types: dict[str, str] = {}
    condition_types: dict[str, str] = {}
    action_types: dict[str, str] = {}

    @property
    def extensions(self) -> dict[str, dict[str, str]]:
        """The short names by kind, as `apsis.extensions.configure` takes them."""
        return {
            "program": self.program_types,
            "schedule": self.schedule_types,
            "condition": self.condition_types,
            "action": self.action_types,
        }


class File(Settings, frozen=True, kw_only=True):
    """`apsis.yaml` as written: paths are relative to the home."""

    job_dir: str = "jobs"
    database: str = "db/apsis.db"


class Config(Settings, frozen=True, kw_only=True):
    """The configuration with its paths made absolute."""

    job_dir: Path
    database: Path


def load_config(home: Home) -> Config:
    """Read the configuration of a home.

    Raises:
        ConfigError: the home has none, or it is not YAML, or a key or a value is not known.
    """
    import yaml  # 5 ms and 2 MB that only readers of the file should pay

    try:
        text = home.config.read_bytes()
    except FileNotFoundError:
        home.require()
        raise
    except OSError as error:
        raise ConfigError(f"cannot read {home.config}: {error.strerror}") from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{home.config} is not YAML: {' '.join(str(error).split())}") from error
    _refuse_twice(node, home)
    return build_config(home, {} if document is None else document)


def build_config(home: Home, document: Any) -> Config:
    """Return the configuration that a parsed `apsis.yaml` means.

    Raises:
        ConfigError: a key or a value is not known; `loc` is its path.
    """
    if not isinstance(document, dict):
        raise ConfigError(f"{home.config} must be a mapping of keys to values", hint="an empty file is valid too")
    _refuse_unknown(File, document, "", home)
    document = _with_texts(document)
    try:
        file = msgspec.convert(document, File)
    except msgspec.ValidationError as error:
        raise _mismatch(document, str(error), home) from error
    _refuse_values(file, home)
    return Config(
        job_dir=home.root / Path(file.job_dir).expanduser(),
        database=home.root / Path(file.database).expanduser(),
        **{name: getattr(file, name) for name in Settings.__struct_fields__},
    )


def _with_texts(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the time in `schedule.since` as a text: YAML reads one that is not quoted as a time."""
    section = document.get("schedule")
    if not isinstance(section, dict) or not hasattr(section.get("since"), "isoformat"):
        return document
    return {**document, "schedule": {**section, "since": section["since"].isoformat()}}


def _refuse_twice(node: Any, home: Home) -> None:
    """Refuse a key that stands twice in one mapping: YAML takes the last in silence, and half a section is lost."""
    seen = set()
    for key, value in node.value if getattr(node, "id", "") == "mapping" else ():
        if key.value in seen:
            line = key.start_mark.line + 1
            raise ConfigError(
                f"{home.config}:{line}: the key {key.value} stands there a second time",
                hint="put what belongs together under one",
                loc=key.value,
            )
        seen.add(key.value)
        _refuse_twice(value, home)


def _mismatch(document: dict[str, Any], sentence: str, home: Home) -> ConfigError:
    """Return the error for a value of the wrong type, with the value as it was read."""
    match = _MISMATCH.fullmatch(sentence)
    if match is None:
        return ConfigError(f"{home.config}: {sentence}")
    value: Any = document
    for key in match[2].split("."):
        value = value[key]
    expected = _EXPECTED.get(match[1], match[1])
    return ConfigError(f"{home.config}: {match[2]} must be {expected}, not {value!r:.100}", loc=match[2])


def _refuse_values(file: File, home: Home) -> None:
    for key, (least, most) in _BOUNDS.items():
        value: Any = file
        for name in key.split("."):
            value = getattr(value, name)
        if value is not None and not least <= value <= most:  # so written, NaN is refused too
            raise ConfigError(f"{home.config}: {key} {value} is not between {least:.0f} and {most:.0f}", loc=key)
    if file.log.level not in _LEVELS:
        raise ConfigError(
            f"{home.config}: log.level {file.log.level!r} is not one of {', '.join(_LEVELS)}", loc="log.level"
        )
    if file.smtp.tls not in _TLS:
        raise ConfigError(f"{home.config}: smtp.tls {file.smtp.tls!r} is not one of {', '.join(_TLS)}", loc="smtp.tls")
    for name, count in file.resources.items():
        if count < 1:
            raise ConfigError(f"{home.config}: resources.{name} {count} is not 1 or more", loc=f"resources.{name}")


def _refuse_unknown(kind: type[Section], document: dict[str, Any], path: str, home: Home) -> None:
    hints = typing.get_type_hints(kind)
    types_of = {field.encode_name: hints[field.name] for field in msgspec.structs.fields(kind)}
    for key, value in document.items():
        if key not in types_of:
            near = difflib.get_close_matches(str(key), types_of, n=1)
            known = "did you mean " + near[0] if near else "known: " + ", ".join(sorted(types_of))
            raise ConfigError(f"{home.config}: unknown key {path}{key}", hint=known, loc=f"{path}{key}")
        section = types_of[key]
        if isinstance(section, type) and issubclass(section, Section) and isinstance(value, dict):
            _refuse_unknown(section, value, f"{path}{key}.", home)
