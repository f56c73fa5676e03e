"""Changing `apsis.yaml` as a person would: one value, every comment left where it is."""

import re
from typing import Final

from apsis.cli.ctl.whole_file import write_whole
from apsis.config import build_config
from apsis.errors import ConfigError
from apsis.home import Home

_PORT: Final = re.compile(
    r"^(web:[ \t]*(?:#.*)?\n(?:[ \t]+.*\n|[ \t]*(?:#.*)?\n)*?[ \t]+port:[ \t]*)([^\s#]+)", re.MULTILINE
)
_WEB: Final = re.compile(r"^web:[ \t]*(?:#.*)?\n", re.MULTILINE)


def set_port(home: Home, port: int) -> None:
    """Write the port of the page into the configuration.

    Raises:
        ConfigError: the file is of a form in which its place is not found.
        OSError: it cannot be read or written.
    """
    text = home.config.read_text()
    if text and not text.endswith("\n"):
        text += "\n"
    if _means(home, text, port):
        return
    changed = _with_port(text, port)
    if changed is None or not _means(home, changed, port):
        raise ConfigError(
            f"the port cannot be written into {home.config}", hint=f"set web.port to {port} there yourself"
        )
    write_whole(home.config, changed.encode(), home.config.stat().st_mode & 0o777)


def _with_port(text: str, port: int) -> str | None:
    """Return the text with the port in its place, or None where that is not found."""
    if _PORT.search(text):
        return _PORT.sub(lambda match: f"{match[1]}{port}", text, count=1)
    if _WEB.search(text):
        return _WEB.sub(lambda match: f"{match[0]}  port: {port}\n", text, count=1)
    # in another form, as `web: {...}`: a second `web:` below it would hide what it says
    return None if re.search(r"\bweb['\"]?\s*:", text) else f"{text}\nweb:\n  port: {port}\n"


def _means(home: Home, text: str, port: int) -> bool:
    import yaml

    try:
        return build_config(home, yaml.safe_load(text)).web.port == port
    except (yaml.YAMLError, ConfigError):
        return False
