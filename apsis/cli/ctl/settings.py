"""Changing `apsis.yaml` as a person would: one value, every comment left where it is."""

import re
from typing import Final

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
    if _PORT.search(text):
        changed = _PORT.sub(lambda match: f"{match[1]}{port}", text, count=1)
    elif _WEB.search(text):
        changed = _WEB.sub(lambda match: f"{match[0]}  port: {port}\n", text, count=1)
    else:
        changed = f"{text}\nweb:\n  port: {port}\n"
    _check(home, changed, port)
    fresh = home.config.with_name(f".{home.config.name}.new")
    fresh.write_text(changed)
    fresh.chmod(home.config.stat().st_mode & 0o777)
    fresh.rename(home.config)


def _check(home: Home, text: str, port: int) -> None:
    import yaml

    try:
        document = yaml.safe_load(text)
        is_right = build_config(home, document).web.port == port
    except yaml.YAMLError:
        is_right = False
    if not is_right:
        raise ConfigError(
            f"the port cannot be written into {home.config}", hint=f"set web.port to {port} there yourself"
        )
