"""The folder that a program is started in."""

import os

from apsis_services.supervisor.zygote.failure import SpawnError


def enter_folder(folder: str) -> None:
    """Change to the program's working folder.

    Raises:
        SpawnError: it is not there, or may not be entered.
    """
    try:
        os.chdir(folder)
    except FileNotFoundError:
        raise SpawnError(f"working directory {folder!r} does not exist") from None
    except NotADirectoryError:
        raise SpawnError(f"working directory {folder!r} is not a directory") from None
    except OSError as error:
        raise SpawnError(f"working directory {folder!r} cannot be entered: {error.strerror}") from None
