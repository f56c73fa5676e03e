"""Lines for `log/zygote.log`, written by zygote and shims without the logging module."""

import os

from apsis_services.supervisor.zygote.stamps import stamp_now


def say(level: str, event: str, sentence: str, run_id: str = "") -> None:
    """Write one line to the standard error stream, in one write, so that shims do not mix their lines."""
    at = stamp_now()
    run = f" run={run_id}" if run_id else ""
    line = f"{at[:-4]}Z {level} zygote: {sentence} event={event}{run} pid={os.getpid()}\n"
    os.write(2, line.encode(errors="replace"))
