"""Checks one definition, in a process of its own: what it names is imported and computed here, and nowhere else.

Reads a `Question` as JSON, writes an `Answer`. What takes too much time or memory ends this process alone.
"""

import os
import resource
import sys
from datetime import UTC, datetime
from typing import Final

import msgspec

from apsis.checking.definition import Question, check_definition
from apsis.checking.one_job import Frame
from apsis.extensions import configure

_SECONDS: Final = 10
_BYTES: Final = 1 << 30


def main() -> None:
    """Answer one question."""
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    # what a class prints when it is imported is no answer
    told = os.dup(1)
    os.dup2(2, 1)
    configure(question.extensions)
    answer = check_definition(question, Frame(now=datetime.now(UTC), resources=question.resources))
    with os.fdopen(told, "wb") as out:
        out.write(msgspec.json.encode(answer))


main()
