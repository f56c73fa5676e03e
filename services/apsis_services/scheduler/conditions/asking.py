"""The scheduler's side: an evaluator is started where there is something to look at, and ended where there is not."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

import msgspec

from apsis.runs.core.inputs import ConditionSaid
from apsis.runs.core.said import Question
from apsis_services.scheduler.conditions.trees import VARIABLE
from apsis_services.scheduler.conditions.wire import Alive, Ask, Drop, Found, Unframed, framed

log = logging.getLogger("scheduler")

#: seconds without anything to look at after which the evaluator ends
IDLE: Final = 30.0
#: seconds without a sign of life after which it is killed
SILENT: Final = 30.0
#: seconds before another one is started after one that died, doubling up to the last
_PAUSE_FIRST: Final = 0.2
_PAUSE_LAST: Final = 10.0
#: seconds in which it is to end when it is asked to
_LEAVE: Final = 3.0


class Asking:
    """Knows what is open, and has it looked at by whichever evaluator lives."""

    def __init__(
        self, tag: str, feed: Callable[[ConditionSaid], None], spawn: Callable[[Coroutine[None, None, None]], None]
    ) -> None:
        self._tag = tag
        self._feed = feed
        self._spawn = spawn
        self._open: dict[str, Question] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._is_serving = False
        self._changed = asyncio.Event()

    def take(self, questions: Mapping[str, Question | None]) -> None:
        """Have these looked at from now on, and those that are None no more; called when that is committed."""
        for run_id, question in questions.items():
            if question is not None:
                self._open[run_id] = question
                self._send(_ask(question))
            elif self._open.pop(run_id, None) is not None:
                self._send(Drop(run_id=run_id))
        if questions:
            self._changed.set()
        if self._open and not self._is_serving:
            self._is_serving = True
            self._spawn(self._serve())

    async def stop(self) -> None:
        """End the evaluator, with all that it has started."""
        self._open.clear()
        process = self._process
        if process is not None:
            await _end(process)

    def _send(self, body: Ask | Drop) -> None:
        process = self._process
        if process is not None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(framed(body))

    async def _serve(self) -> None:
        """Keep an evaluator alive as long as there is something to look at."""
        pause = _PAUSE_FIRST
        while self._open:
            began = asyncio.get_running_loop().time()
            process = await self._start()
            try:
                died = await self._listen(process)
            finally:
                self._process = None
                await _end(process)
            if died and self._open:
                # one that lived for long is started again at once; all that is open is asked again
                lived = asyncio.get_running_loop().time() - began
                pause = _PAUSE_FIRST if lived > _PAUSE_LAST else min(_PAUSE_LAST, pause * 2)
                log.warning(
                    "the evaluator of conditions has ended (%s); another one is started in %.1f s", died, pause,
                    extra={"event": "evaluator_ended"},
                )  # fmt: skip
                await asyncio.sleep(pause)
        self._is_serving = False

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "apsis_services.scheduler.conditions.evaluator",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd="/",
            env={**os.environ, VARIABLE: self._tag},
        )  # fmt: skip
        self._process = process
        for question in self._open.values():
            self._send(_ask(question))
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> str:
        """Take what an evaluator finds; return how it has died, or "" where there is nothing more to look at."""
        assert process.stdout is not None
        frames = Unframed()
        while True:
            try:
                async with asyncio.timeout(SILENT):
                    data = await process.stdout.read(65_536)
                for body in frames.feed(data):
                    self._found(msgspec.json.decode(body, type=Found | Alive))
            except TimeoutError:
                return f"no sign of life for {SILENT:g} s"
            except (ValueError, msgspec.DecodeError) as error:
                return f"what it says is not understood: {error}"
            if not data:
                return f"exit {await process.wait()}"
            if not self._open and await self._is_idle():
                return ""

    async def _is_idle(self) -> bool:
        """Wait for something to look at; say whether nothing has come."""
        loop = asyncio.get_running_loop()
        end = loop.time() + IDLE
        while not self._open:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                return not self._open
        return False

    def _found(self, found: Found | Alive) -> None:
        if isinstance(found, Alive):
            return
        question = self._open.get(found.run_id)
        if question is None or question.index != found.index:
            return
        if found.what != "waits":
            # whatever becomes of the run, this one is answered
            del self._open[found.run_id]
        self._feed(ConditionSaid(found.run_id, found.index, found.what, found.text))


def _ask(question: Question) -> Ask:
    return Ask(
        run_id=question.run_id,
        index=question.index,
        condition=dict(question.condition),
        job_id=question.job_id,
        args=dict(question.args),
        schedule_time=question.schedule_time,
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let a process end by closing its input; kill it where it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_LEAVE):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
