"""How large what one run is given may be: it passes through one message of the bus, and one `exec` of the kernel."""

from collections.abc import Iterable, Mapping
from typing import Final

from apsis.messages.body import encode
from apsis.programs.process import ProcessProgram
from apsis.programs.templated import BindError

KIB: Final = 1024
#: bytes of names and values of the args of a run
ARGS_MAX: Final = 64 * KIB
#: bytes of one argument or environment variable; the kernel takes 128 KiB with the end of the text
WORD_MAX: Final = 128 * KIB - 1
#: bytes of all arguments and the environment together, and as they stand in a message, where some characters take six
PROGRAM_MAX: Final = 512 * KIB
ENCODED_MAX: Final = 768 * KIB


def check_args(args: Mapping[str, str]) -> None:
    """Raise BindError if args are too large."""
    size = _size((*args, *args.values()))
    if size > ARGS_MAX:
        largest = max(args, key=lambda name: len(args[name]))
        raise BindError(
            largest,
            f"the args have {size} bytes, and may have {ARGS_MAX}",
            hint="put what is large into a file, and give its path",
        )


def check_program(program: ProcessProgram) -> None:
    """Raise BindError if a program's arguments and environment are too large to be started."""
    variables = [f"{name}={value or ''}" for name, value in program.env.items()]
    for key, words in (("program.argv", program.argv), ("program.env", variables)):
        for index, word in enumerate(words):
            if len(word) * 4 > WORD_MAX and _size((word,)) > WORD_MAX:
                raise BindError(
                    f"{key}[{index}]",
                    f"it has {_size((word,))} bytes, and the kernel takes {WORD_MAX}",
                    hint="put what is large into a file, and give its path",
                )
    size = _size((*program.argv, *variables))
    if size > PROGRAM_MAX or (size * 6 > ENCODED_MAX and len(encode([program.argv, variables])) > ENCODED_MAX):
        raise BindError(
            "program",
            f"arguments and environment have {size} bytes together, and may have {PROGRAM_MAX}",
            hint="put what is large into a file, and give its path",
        )


def _size(words: Iterable[str]) -> int:
    return sum(len(word.encode("utf-8", "surrogatepass")) for word in words)
