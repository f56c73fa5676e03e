"""Starting the program itself: its own session, a clean slate of signals and descriptors, and errors told apart.

By posix_spawn where that offers enough, which copies no memory; by fork and exec (`child`) where the program
is to become another user, or is to have limits, a niceness or a control group.
"""

import os
from collections.abc import Callable, Sequence

from apsis_services.supervisor.zygote.account import find_account
from apsis_services.supervisor.zygote.child import ALL_SIGNALS, DEFAULT_PATH, Setup, fork_program
from apsis_services.supervisor.zygote.failure import SpawnError, explain, find_program
from apsis_services.supervisor.zygote.folder import enter_folder
from apsis_services.supervisor.zygote.request import StartRequest
from apsis_services.supervisor.zygote.standard_input import open_file, open_text


def spawn(
    request: StartRequest, outputs: Sequence[int], orphaned: Callable[[str], None], group: str | None = None
) -> int:
    """Start the program and return its pid. `outputs` are the descriptors for its stdout and stderr.

    `orphaned` is called in the child when a step fails and its parent is not there any more to be told;
    `group` is the path of the run's control group.

    Raises:
        SpawnError: it could not be started.
    """
    if not request.argv:
        raise SpawnError("no program is given: argv is empty")
    stdin = None
    try:
        if request.stdin is not None:
            stdin = open_text(request.stdin)
        account = find_account(request.user, request.group)
        if account is None and request.nice is None and not request.limits and group is None:
            return _spawn_as_we_are(request, outputs, stdin)
        setup = Setup(account, group, stdin, (outputs[0], outputs[-1]))
        return fork_program(request, setup, orphaned)
    except ValueError as error:  # a NUL byte, or an `=` in a variable's name
        raise SpawnError(f"argv or environment cannot be given to a program: {error}") from None
    finally:
        if stdin is not None:
            os.close(stdin)


def _spawn_as_we_are(request: StartRequest, outputs: Sequence[int], stdin: int | None) -> int:
    os.umask(request.umask)
    enter_folder(request.cwd or "/")
    try:
        program = find_program(request.argv[0], request.env.get("PATH", DEFAULT_PATH))
        opened = open_file(request.stdin_file) if stdin is None and request.stdin_file is not None else None
        given = stdin if stdin is not None else opened
        nothing = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        actions = [
            nothing if given is None else (os.POSIX_SPAWN_DUP2, given, 0),
            (os.POSIX_SPAWN_DUP2, outputs[0], 1),
            (os.POSIX_SPAWN_DUP2, outputs[-1], 2),
        ]
        try:
            return os.posix_spawn(
                program,
                request.argv,
                request.env,
                file_actions=actions,
                setsid=True,
                setsigmask=[],
                setsigdef=ALL_SIGNALS,
            )
        except OSError as error:
            raise SpawnError(explain(program, error)) from None
        finally:
            if opened is not None:
                os.close(opened)
    finally:
        os.chdir("/")  # the folder of a long run is not kept busy by its shim
