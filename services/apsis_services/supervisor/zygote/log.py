"""Lines for `log/zygote.log`, written by zygote and shims without the logging module."""

import os

from apsis_services.supervisor.zygote.stamps import stamp_now


def say(level: str, event: str, sentence: str, run_id: str = "") -> None:
    """Write one line to the standard error stream, in one write, so that shims do not mix their lines."""
    at = stamp_now()
    run = f" run={run_id}" if run_id else ""
    line = f"{at[:-4]}Z {level} zygote: {sentence} event={event}{run} pid={os.getpid()}\n"
    os.write(2, line.encode(errors="replace"))


def whereabouts(error: BaseException) -> str:
    """Return an error and the lines that it came through, innermost first; without loading the traceback module."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return " < ".join([f"{type(error).__name__}: {error}", *reversed(lines)])
