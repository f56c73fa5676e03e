"""The program of every run under chaos: does what its plan says, and writes down in a ledger what it did.

Its first act is its line in the ledger, its last one how it is about to end; after each piece that it printed it
notes how much that was. What it prints follows from its plan alone, so that every byte can be checked. It is
started by its path, in a bare interpreter: the standard library's lightest modules and nothing else.
"""

import os
import sys
import time

#: bytes of one line of output
LINE = 64
#: seconds after which a daemon ends by itself, were it never ended
DAEMON_SECONDS = 300


def printed(number: int, stream: str, start: int, size: int) -> bytes:
    """Return the bytes [start, start + size) of what run `number` of the plan prints on a stream."""
    first, last = start // LINE, -(-(start + size) // LINE)
    head = b"%07d %s " % (number, stream.encode())
    width = LINE - 1 - len(head)
    data = b"".join(b"%s%0*d\n" % (head, width, line) for line in range(first, last))
    begin = start - first * LINE
    return data[begin : begin + size]


class Program:
    """One run, which does what its plan says."""

    def __init__(self, ledger: str, words: str) -> None:
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.run_id = os.environ["APSIS_RUN_ID"]
        self.note("start", os.getpid())
        self.plan = {name: value for name, _, value in (word.partition("=") for word in words.split())}
        self.written = {"out": 0, "err": 0}

    def number(self, name: str) -> int:
        """Return a number of the plan, 0 if it is not in it."""
        return int(self.plan.get(name, "0"))

    def note(self, word: str, *facts: object) -> None:
        """Write a line into the ledger, in one write."""
        os.write(self.ledger, " ".join([word, self.run_id, *map(str, facts)]).encode() + b"\n")

    def run(self) -> int:
        """Do all of it; returns the exit status."""
        if self.number("deaf"):
            import signal  # only the few that need it pay for it

            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.number("daemon"):
            self.leave_daemon(deaf=self.number("daemon") > 1)
        pieces = max(1, self.number("pieces"))
        pause = float(self.plan.get("seconds", "0")) / pieces
        for piece in range(1, pieces + 1):
            self.say(piece, pieces)
            time.sleep(pause)
        return self.end()

    def say(self, piece: int, pieces: int) -> None:
        """Print the next piece of each stream; every third one by a child, where the plan has children."""
        if self.number("fork") and piece % 3 == 1:
            pid = os.fork()
            if pid == 0:
                self.print_piece(piece, pieces)
                os._exit(0)
            os.waitpid(pid, 0)
            for stream in self.written:
                self.written[stream] = self.number(stream) * piece // pieces
        else:
            self.print_piece(piece, pieces)

    def print_piece(self, piece: int, pieces: int) -> None:
        """Print up to where each stream has to be after this piece, and note it."""
        for stream, fd in (("out", 1), ("err", 2)):
            at, until = self.written[stream], self.number(stream) * piece // pieces
            while at < until:
                at += os.write(fd, printed(self.number("n"), stream, at, min(until - at, 1 << 18)))
                self.note("wrote", stream, at)
            self.written[stream] = at

    def leave_daemon(self, *, deaf: bool) -> None:
        """Leave a grandchild behind in a session of its own, silent, with our streams open."""
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            return
        os.setsid()
        if os.fork() == 0:
            if deaf:
                import signal

                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self.note("daemon", os.getpid())
            time.sleep(DAEMON_SECONDS)
        os._exit(0)

    def end(self) -> int:
        """Note how it is about to end, and end so."""
        number, code = self.number("signal"), self.number("code")
        self.note("end", code, number)
        if number:
            import signal

            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        return code


if __name__ == "__main__":
    os._exit(Program(sys.argv[1], sys.argv[2]).run())
