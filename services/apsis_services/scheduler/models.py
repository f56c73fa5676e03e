"""The tables, as peewee models: they serve the schema, the migrations, and what is done rarely.

What is done for each run goes through the fixed statements of `statements`, ten times as fast. Times are
microseconds since the epoch; documents are JSON as bytes.
"""

from typing import Final

from peewee import (
    SQL,
    BigIntegerField,
    BlobField,
    CharField,
    CompositeKey,
    DatabaseProxy,
    IntegerField,
    Model,
    SmallIntegerField,
    TextField,
)

#: bound to the one database when that is opened
proxy = DatabaseProxy()


class Table(Model):
    """A table of the scheduler's database."""

    class Meta:
        """Names are those of the classes, in lower case."""

        database = proxy
        legacy_table_names = False


class Meta(Table):
    """Single values: `journal`, `term`, `schema`, `last_run`, `job_errors`, `pauses`, ..."""

    key = CharField(primary_key=True)
    value = TextField()


class Run(Table):
    """A run: `doc` is what everybody sees (`apsis.runs.run.Run`), `facts` what the core alone needs."""

    num = IntegerField(primary_key=True)
    job_id = TextField()
    args_key = TextField()
    state = CharField()
    due = BigIntegerField(null=True)
    #: by which lists are sorted: the due time, else when it entered its first state; it never changes
    time_key = BigIntegerField()
    finished = SmallIntegerField()
    #: 1: a schedule made it
    expected = SmallIntegerField()
    rev = IntegerField()
    doc = BlobField()
    facts = BlobField()
    log = BlobField()


class Event(Table):
    """The event journal, which is the outbox: ids are dense and given by the core."""

    id = BigIntegerField(primary_key=True)
    at = BigIntegerField()
    topic = TextField()
    run_id = CharField(null=True)
    body = BlobField()


class Command(Table):
    """A command to a host that is not yet answered, bound for ever to (host, epoch, boot)."""

    host = CharField()
    dispatch = BigIntegerField()
    run_id = CharField()
    epoch = CharField()
    boot = CharField()
    body = BlobField()

    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride] - so peewee wants it
        """The number is dense for each host."""

        primary_key = CompositeKey("host", "dispatch")


class Cursor(Table):
    """Up to where runs of a schedule exist, and the range before it that is still to be caught up."""

    job_id = TextField()
    key = CharField()
    at = BigIntegerField()
    behind = BigIntegerField(null=True)
    until = BigIntegerField(null=True)
    #: why these do not run; null: they are to be caught up
    why = TextField(null=True)

    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride] - so peewee wants it
        """One for each schedule of each job."""

        primary_key = CompositeKey("job_id", "key")


class Host(Table):
    """What is known of a supervisor (`apsis.runs.core.rows.HostRow`)."""

    host = CharField(primary_key=True)
    doc = BlobField()


class Job(Table):
    """A loaded job, as REST shows it."""

    job_id = TextField(primary_key=True)
    hash = CharField()
    doc = BlobField()


class JobVersion(Table):
    """Every definition that a run was bound from, by its content hash."""

    hash = CharField(primary_key=True)
    job_id = TextField()
    definition = BlobField()


class JobTaken(Table):
    """Which version (`JobVersion.hash`) of a job held from when on; 0: from before that was written down."""

    job_id = TextField()
    at = BigIntegerField()
    hash = CharField()

    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride] - so peewee wants it
        """A job is taken over once in a moment."""

        primary_key = CompositeKey("job_id", "at")


class Request(Table):
    """A request that was done, kept for seven days: the same again gets the same answer."""

    request_id = CharField(primary_key=True)
    body_hash = CharField()
    at = BigIntegerField(index=True)
    answer = BlobField()


TABLES: Final[tuple[type[Table], ...]] = (Meta, Run, Event, Command, Cursor, Host, Job, JobVersion, JobTaken, Request)

Run.add_index(Run.time_key, Run.num, name="run_by_time")
Run.add_index(Run.job_id, Run.time_key, name="run_by_job")
# partial, so that an unfinished run's steps touch no index at all
Run.add_index(Run.job_id, Run.args_key, Run.state, where=SQL("finished = 1"), name="run_finished")
Run.add_index(Run.job_id, Run.args_key, Run.num, where=SQL("finished = 1"), name="run_ended")
Run.add_index(Run.job_id, Run.due, where=SQL("finished = 0"), name="run_unfinished")
# runs found on a host after a restore whose number was given again: few, and all of them are known at each start
Run.add_index(Run.num, where=SQL("finished = 1 AND instr(doc, '\"held_as\":') > 0"), name="run_held")
# "two schedules that give the same (args, nominal time) make one run", also where the core errs
Run.add_index(Run.job_id, Run.due, Run.args_key, where=SQL("expected = 1"), unique=True, name="run_made")
Event.add_index(Event.run_id, where=SQL("run_id IS NOT NULL"), name="event_by_run")
# the few that are not of runs: what happened to a job, what did not run
Event.add_index(Event.topic, Event.id, where=SQL("run_id IS NULL"), name="event_by_topic")
Event.add_index(Event.at, name="event_by_time")
