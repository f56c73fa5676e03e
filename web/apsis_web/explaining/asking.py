"""Asking a process of its own: one question, then an answer or an end at a deadline; a few of them at a time."""

import asyncio
import sys
from typing import Final

import msgspec

from apsis.errors import ApsisError, BadRequest, NotFound, Unavailable
from apsis.home import Home
from apsis_web.database import TookTooLong
from apsis_web.explaining import process
from apsis_web.explaining import questions as ask
from apsis_web.explaining.questions import Refusal

#: processes at a time, and questions that wait for one
_AT_A_TIME: Final = 2
_WAITING: Final = 16
#: seconds beyond the process's own deadline, for its start
_START: Final = 5.0
#: bytes of an answer
_ANSWER_MAX: Final = 64 * 1024 * 1024
_KINDS: Final[dict[str, type[ApsisError]]] = {kind.code: kind for kind in (NotFound, BadRequest, Unavailable)}


class Refused(BadRequest):
    """The question was refused by the process; `at` are the columns of a filter that is wrong."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message, hint=refusal.hint, loc=refusal.loc)
        self.code = refusal.code


class Explainer:
    """Has questions answered; the same one that is being asked already is asked once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._free = asyncio.Semaphore(_AT_A_TIME)
        self._asked: dict[bytes, asyncio.Task[bytes]] = {}

    async def ask(self, question: ask.Asked) -> msgspec.Raw:
        """Return the answer as JSON.

        Raises:
            ApsisError: it is refused, took too long, or too much is asked at once.
        """
        body = msgspec.json.encode(question)
        task = self._asked.get(body)
        if task is None:
            if len(self._asked) >= _WAITING:
                raise Unavailable("too much is asked at once", hint="ask again soon")
            deadline = process.DEADLINE_OF_EXAMINING if isinstance(question, ask.Examine) else process.DEADLINE
            task = self._asked[body] = asyncio.create_task(self._answer(body, deadline + _START))
            task.add_done_callback(lambda _: self._asked.pop(body, None))
        # Shielded: one who hangs up must not break off the answer of another.
        return msgspec.Raw(await asyncio.shield(task))

    async def close(self) -> None:
        """End what is being asked."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, body: bytes, deadline: float) -> bytes:
        async with self._free:
            words = [sys.executable, "-P", "-m", "apsis_web.explaining.process", "--home", str(self._home.root)]
            child = await asyncio.create_subprocess_exec(
                *words, cwd="/", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_ANSWER_MAX
            )
            try:
                async with asyncio.timeout(deadline):
                    said, _ = await child.communicate(body)
            except TimeoutError:
                raise TookTooLong from None
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        if child.returncode != 0 or not said:
            raise ApsisError(
                f"the process that explains ended with status {child.returncode}",
                hint="the log of web has its last words; see `apsisctl logs web`",
            )
        if said.startswith(b'{"error":'):
            raise _error_of(said)
        return said


def _error_of(said: bytes) -> ApsisError:
    class Said(msgspec.Struct):
        error: Refusal

    refusal = msgspec.json.decode(said, type=Said).error
    kind = _KINDS.get(refusal.code)
    if kind is None or kind is BadRequest:
        return Refused(refusal)
    return kind(refusal.message, hint=refusal.hint, loc=refusal.loc)
