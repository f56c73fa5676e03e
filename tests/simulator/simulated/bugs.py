"""Bugs, put into the real functions by an edit of their source: each is one that the simulator must notice."""

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import pytest
from simulated import scheduler, waits
from simulated.world import Bugs

from apsis.runs import states
from apsis.runs.core import (
    ahead,
    book,
    deeds,
    hosts,
    judging,
    machine,
    outcomes,
    renewal,
    reports,
    stops,
    waiting,
)
from apsis.runs.core import inventory as taking_over
from apsis.runs.core import outbox as commands_out
from apsis_bus import consumer
from apsis_services.supervisor import core, inventory
from apsis_services.supervisor import outbox as reports_out

#: (function, what stands in it, what is to stand there)
Edit = tuple[Callable[..., Any], str, str]


@dataclass(frozen=True)
class Bug:
    """One bug: where it is put in, and the promises of which the simulator must find one broken."""

    edits: tuple[Edit, ...]
    promises: tuple[str, ...]
    #: what is put into the simulated parts
    flags: Bugs = field(default_factory=Bugs)
    #: the first seed to be played, where what it takes is rare
    first: int = 0


def put_in(patch: pytest.MonkeyPatch, bug: Bug) -> None:
    """Edit the functions of a bug, wherever they are referred to from."""
    put_in_edits(patch, bug.edits)


def put_in_edits(patch: pytest.MonkeyPatch, edits: tuple[Edit, ...]) -> None:
    """Edit functions, wherever they are referred to from."""
    sources: dict[FunctionType, str] = {}
    for function, old, new in edits:
        assert isinstance(function, FunctionType)
        source = sources.get(function) or textwrap.dedent(inspect.getsource(function))
        times = source.count(old)
        assert times == 1, f"{function.__qualname__} says {old!r} {times} times: the bug is to be put in elsewhere"
        sources[function] = source.replace(old, new)
    for function, source in sources.items():
        made: dict[str, Any] = {}
        exec(compile(source, inspect.getfile(function), "exec"), dict(function.__globals__), made)
        patch.setattr(function, "__code__", made[function.__name__].__code__)


ONCE = "a program starts at most once"
ENDS = "every run ends"
ANSWERED = "every command is answered"
TRUE = "an end is true"
UNKNOWN = "unknown is said only where it is"

BUGS: dict[str, Bug] = {
    "a report is applied again when it comes again": Bug(
        ((reports.reports, "if report.seq == host.row.seq + 1:", "if True:"),),
        ("reports are applied in order", "a report is applied once"),
    ),
    "reports are acknowledged before they are committed": Bug(
        (
            (
                scheduler.Scheduler.carry_out,
                "self.commit(effects)",
                "[self._ack(h) for h in effects.acks]; self.commit(effects)",
            ),
        ),
        ("what is acked is committed",),
    ),
    "commands are sent before they are committed": Bug(
        (
            (scheduler.Scheduler.carry_out, "    self.commit(effects)\n", "    pass\n"),
            (scheduler.Scheduler.carry_out, "self.tell(effects)", "self.tell(effects); self.commit(effects)"),
        ),
        ("what is sent is committed", "what is published is committed", "what is acked is committed"),
    ),
    "a program is spawned before its claim is taken": Bug((), (ONCE,), Bugs(spawn_first=True)),
    "a finished run takes a step back": Bug(
        ((states.follow, "if old not in TABLE[new]:", "if False:"),),
        ("a finished run stays finished", "states move along the table"),
    ),
    "the floor is ignored": Bug(
        ((core.Core._ordered, "if command.dispatch <= floor:", "if False:"),),
        (ONCE, "a report is applied once", "every journal is archived in the end"),
    ),
    "commands are not sent again": Bug(
        ((commands_out.Outbox.due, "sorted({*list(lane.open)[:AGAIN_AT_MOST], *numbers})", "numbers"),),
        (ENDS, ANSWERED, "every request is answered"),
    ),
    "reports are not sent again": Bug(
        ((reports_out.Outbox.due, "self._rewind()", "self._resend_at = None"),), (ENDS, "every report is acknowledged")
    ),
    "a start bound to a lost spool is taken as new": Bug(
        (
            (
                core.Core._receive,
                "(commands.epoch, commands.boot) != (self.epoch, self.boot)",
                "commands.boot != self.boot",
            ),
        ),
        (ONCE,),
    ),
    "an unanswered start is started again after a reboot": Bug(
        (
            (
                core.Core._receive,
                "(commands.epoch, commands.boot) != (self.epoch, self.boot)",
                "commands.epoch != self.epoch",
            ),
        ),
        (ONCE, ENDS),
        first=340,
    ),
    "a stop that overtakes its start is answered and forgotten": Bug(
        ((core.Core._do_claim, "run = self._run(key)", "return self._do_answer(key, command, _now)"),),
        ("a stop that overtakes its start is obeyed", ENDS, ANSWERED),
    ),
    "a claim is told before it is there": Bug(
        ((core.Core._do_begin, "return [", "self._answer(command.dispatch, key.run_id, 'claimed'); return ["),),
        ("a claim is there before it is told",),
    ),
    "a gap in the events is not noticed": Bug(
        ((consumer.Consumer.on_event, "event.id > self.cursor + 1", "False"),),
        ("a reader gets every event once and in order",),
    ),
    "the cursor is stored before the effect": Bug((), ("the reader applies every event",), Bugs(cursor_first=True)),
    "a report is numbered before the scheduler has said how far it is": Bug(
        ((reports_out.Outbox.tell, "if not self._synced:", "if False:"),),
        ("a number that was taken keeps its content", ENDS),
        first=250,
    ),
    "a request is not remembered": Bug(
        ((deeds.repeated, "known = _known(turn, asked.request.request_id)", "known = None"),),
        ("a request is done once", "one request, two answers", "a run again is made once"),
    ),
    "a settled run is started again": Bug(
        (
            (core.Core._receive, "if key in archived or command.run_id in archived:", "if False:"),
            (core.Core._ordered, "if command.dispatch <= floor:", "if False:"),
        ),
        (ONCE, "a report is applied once"),
        Bugs(archive_not_looked_at=True),
    ),
    "two schedules that name one moment make two runs": Bug(
        (
            (ahead._make, "if same is not None:", "if False:"),
            (
                ahead._make,
                "if book.archive.made(job.job_id, due, key) or _freshly_made(turn, job.job_id, due, key):",
                "if False:",
            ),
        ),
        ("nothing raises", "two schedules make one run"),
    ),
    "what a cut of the power took is not asked for": Bug(
        (
            (
                hosts.hello,
                'row.boot not in {"", message.boot} or (host.counting is None and _may_have_lost(book, host))',
                "False",
            ),
        ),
        (ENDS, "every journal is archived in the end"),
    ),
    "a stop after the stop that took the claim moves the run on": Bug(
        ((stops.order_stop, "(not facts.claimed or facts.stop_by is not None)", "not facts.claimed"),),
        (UNKNOWN, ENDS),
        first=600,
    ),
    "a report is acknowledged to a host whose HELLO was lost, and it takes that for its answer": Bug(
        (
            (reports.reports, "not host.greeted or ", ""),
            (core.Core._acked, "if ack.hello != self._nonce:", "if False:"),
        ),
        (ENDS, ANSWERED, "every journal is archived in the end"),
        first=300,
    ),
    "an ack to the life before this one ends our HELLO": Bug(
        ((core.Core._acked, "if ack.hello != self._nonce:", "if False:"),),
        (ENDS, ANSWERED, "every journal is archived in the end"),
        first=17_900,
    ),
    "a restored database does not ask what its hosts ran": Bug(
        (
            (hosts.hello, "if why or owes(book, message, row):", "if False:"),
            (renewal.renew, "if host.connected and host is not but:", "if False:"),
        ),
        (ONCE, "a due time runs once", UNKNOWN, ENDS, TRUE, "every journal is archived in the end"),
    ),
    "a run goes by a number that is another run's on its host": Bug(
        ((book.Book.find_held, "if row.run.held_as:", "if False:"),),
        (TRUE, UNKNOWN, ENDS, "what was skipped never ran"),
        first=5100,
    ),
    "a restart forgets which runs go by another number here": Bug(
        ((book.Book.__init__, "dict(stored.aliases)", "{}"),),
        ("a claim is one run", TRUE),
        first=1200,
    ),
    "an end that is acknowledged before it is known whose it is counts as told": Bug(
        ((taking_over._as_owed, "if name not in host.row.owed:", "if True:"),),
        ("each end has its successors once",),
        first=3400,
    ),
    "a claim taken after a cut of the power says that nothing ran": Bug(
        (
            (
                outcomes._is_of_the_past,
                "return (facts.epoch, facts.booted) != (host.row.epoch, host.row.boot)",
                "return False",
            ),
        ),
        ("what was skipped never ran",),
        first=13600,
    ),
    "a journal that was archived without an end counts as running": Bug(
        ((inventory.Teller.take, "None if facts.phase in ENDED else", "None if True else"),),
        (ENDS,),
        first=13350,
    ),
    "the core asks to be woken in the past while a host counts": Bug(
        ((machine.Core._wake, " and not hosts.is_counting(book) else None]", " else None]"),),
        ("the world comes to rest",),
    ),
    "of two resources the first alone is looked at": Bug(
        (
            (
                judging._resources,
                "for name, count in sorted(wanted.items()):",
                "for name, count in [*wanted.items()][:1]:",
            ),
        ),
        ("no more is taken than there is",),
        first=waits.FIRST,
    ),
    "resources are not given back at the end": Bug(
        ((book.Book._leave, "self.taken.subtract(row.facts.resources)", "pass"),),
        ("nobody waits for what is free",),
        first=waits.FIRST,
    ),
    "a restart forgets who holds resources": Bug(
        (
            (
                book.Book.enter,
                "self.taken.update(row.facts.resources)",
                "self.taken.update(row.facts.resources if old else ())",
            ),
            (
                book.Book._leave,
                "self.taken.subtract(row.facts.resources)",
                "self.taken.update({n: -min(c, self.taken[n]) for n, c in row.facts.resources.items()})",
            ),
        ),
        ("no more is taken than there is", "nobody is passed over in a line"),
        first=waits.FIRST,
    ),
    "who needs little passes one that needs much": Bug(
        ((judging.lacks, "return too_little or", "return too_little or False and"),),
        ("nobody is passed over in a line",),
        first=waits.FIRST,
    ),
    "who stands behind one that leaves the line is not looked at": Bug(
        (
            (waiting.Waiting.remove, "line.first() == run_id", "False"),
            (waiting.Waiting.remove, "self.stirred.update(dict.fromkeys(lines))", "pass"),
        ),
        ("nobody waits for what is free", "nobody is passed over in a line"),
        first=waits.FIRST + 2100,
    ),
    "what held once is looked at again": Bug(
        ((judging.judge, "passed = row.facts.passed", "passed = 0"),),
        ("what held once is not looked at again", "what held once stays so"),
        first=waits.FIRST,
    ),
    "younger runs make a duplicate too": Bug(
        ((judging.older_run, "_came_due(other) < mine", "mine"),),
        ("only older runs make a duplicate",),
        first=waits.FIRST,
    ),
    "a duplicate is looked for before its other conditions alone": Bug(
        ((judging._shared, "if older is not None:", "if older is not None and row.run.state is not State.WAITING:"),),
        ("a duplicate does not start",),
        first=waits.FIRST,
    ),
    "a page that is older than what was published counts as a loss": Bug(
        ((consumer.Consumer.on_page, "page.head < self.asked_at", "page.head < self.cursor"),),
        ("a reader that can have every event takes no snapshot",),
    ),
}
