"""A worker: a process that delivers letters one by one, so that what hangs, or needs much memory, is not the service.

Started when something is to be delivered; ends when its standard input does. Mails, templates and TLS are loaded here.
"""

import ctypes
import os
import signal
import sys
import traceback
from types import FrameType
from typing import BinaryIO, Final

from apsis.errors import ApsisError
from apsis.messages.body import decode, encode
from apsis_services.alerts.commands import adopt_orphans, end_tree
from apsis_services.alerts.orders import HEAD, Order, Outcome, Verdict

_PDEATHSIG: Final = 1


def main() -> int:
    """Deliver what is ordered until there is nothing more."""
    parent = os.getppid()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    adopt_orphans()
    # a service that is killed leaves nobody behind who goes on with what the next one begins again
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        return 1
    answers = os.fdopen(os.dup(1), "wb")
    # what a library prints must not stand among the answers
    os.dup2(2, 1)
    orders = sys.stdin.buffer
    while (order := read_frame(orders)) is not None:
        answer = encode(deliver(decode(Order, order)))
        answers.write(len(answer).to_bytes(HEAD, "big") + answer)
        answers.flush()
    return 0


def deliver(order: Order) -> Outcome:
    """Make one attempt; whatever goes wrong is its outcome."""
    kind = order.letter.kind
    try:
        if kind == "email":
            from apsis_services.alerts import mail

            return mail.send(order)
        if kind == "webhook":
            from apsis_services.alerts import hooks

            return hooks.send(order)
        from apsis_services.alerts import commands

        return commands.send(order)
    except ApsisError as error:
        # a template that cannot be expanded, or a secret that is not there: somebody may mend it
        text = f"{error.message}; {error.hint}" if error.hint else error.message
        return Outcome(verdict=Verdict.AGAIN, text=text)
    except Exception as error:  # noqa: BLE001  the edge of this process: what a library raises is told and tried again
        traceback.print_exc()
        return Outcome(verdict=Verdict.AGAIN, text=f"{type(error).__name__}: {error}"[:300])


def read_frame(file: BinaryIO) -> bytes | None:
    """Return what the next frame holds; None: there are no more."""
    head = file.read(HEAD)
    if len(head) < HEAD:
        return None
    size = int.from_bytes(head, "big")
    data = file.read(size)
    return data if len(data) == size else None


def _leave(_number: int, _frame: FrameType | None) -> None:
    end_tree()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
