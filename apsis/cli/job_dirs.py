"""Which job directory a command looks at, and what the config beside it adds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from apsis.cli.connection import Connection
from apsis.errors import BadRequest, NotFound
from apsis.home import Home

if TYPE_CHECKING:
    from apsis.config import Config


@dataclass(frozen=True, slots=True)
class JobDir:
    """A job directory, as it was named; `resources` None: no config says what there is."""

    path: Path
    resources: dict[str, int] | None = None
    config: "Config | None" = field(default=None, repr=False)


def find_job_dir(connection: Connection, given: str | None) -> JobDir:
    """Return the directory that is given, else that of the home; short names of its config are known from then on.

    Raises:
        NotFound: there is none; BadRequest: it is a file; ConfigError: the home's config cannot be used.
    """
    from apsis.config import load_config
    from apsis.extensions import configure

    home = Home.find(connection.home) if given is None else Home(Path(given).absolute().parent)
    if given is None:
        home.require()
    config = load_config(home) if home.config.is_file() else None
    path = Path(given) if given is not None else config.job_dir if config else home.jobs
    if config is not None and config.job_dir.absolute() != path.absolute():
        # another folder beside somebody's home: its config does not speak of it
        config = None
    if path.is_file():
        raise BadRequest(f"{path} is a file", hint="name the job directory that it is in")
    if not path.is_dir():
        raise NotFound(f"there is no job directory {path}", hint="name one: apsis check DIR")
    if config is not None:
        configure(config.extensions)
    return JobDir(path, dict(config.resources) if config is not None else None, config)
