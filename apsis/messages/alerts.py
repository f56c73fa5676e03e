"""Alerts: what the service for them tells the scheduler of its attempts, and what people ask of it through web."""

from apsis.messages.body import Body


class AlertNote(Body, frozen=True, kw_only=True, tag="alert_note"):
    """What became of one attempt to tell somebody of a run; it goes into that run's log."""

    #: dense, of one epoch
    seq: int
    run_id: str
    #: a sentence
    text: str


class AlertNotes(Body, frozen=True, kw_only=True, tag="alert_notes"):
    """Alerts tells the scheduler, again and again until it is answered by `AlertsNoted`: all that is not yet noted.

    A note is written into its run's log if and only if its `seq` is the scheduler's last plus 1, in the same
    transaction.
    """

    #: random, made with the database of the alerts
    epoch: str
    #: all up to this were acknowledged; a scheduler that has less was put back from a backup, and goes on from here
    after: int
    #: at most 64
    items: list[AlertNote]


class AlertsNoted(Body, frozen=True, kw_only=True, tag="alerts_noted"):
    """Scheduler answers `AlertNotes` once it is committed: all notes up to `seq` are in their logs."""

    epoch: str
    seq: int


class AskAlerts(Body, frozen=True, kw_only=True, tag="ask_alerts"):
    """Web asks alerts how it goes; answered by `AlertsState`."""

    #: dead letters to tell, at most
    limit: int = 100


class DeadLetter(Body, frozen=True, kw_only=True, tag="dead_letter"):
    """An alert that could not be delivered and is tried no more, unless somebody asks for it."""

    event_id: str
    run_id: str
    job_id: str
    #: `email`, `webhook`, `command`, or the class
    kind: str
    #: to whom, as far as it may be shown
    target: str
    attempts: int
    #: when the run ended, and when it was given up; times
    at: str
    given_up: str
    #: what went wrong the last time
    why: str


class AlertsState(Body, frozen=True, kw_only=True, tag="alerts_state"):
    """Alerts answers `AskAlerts`."""

    waiting: int
    dead: int
    #: when the oldest that waits was decided, a time; empty: none waits
    oldest: str = ""
    #: what keeps it from its work, in sentences
    problems: list[str] = []
    letters: list[DeadLetter] = []


class RetryAlerts(Body, frozen=True, kw_only=True, tag="retry_alerts"):
    """Web asks alerts to try dead letters again; answered by `AlertsRetried`."""

    #: empty: all
    event_ids: list[str] = []


class AlertsRetried(Body, frozen=True, kw_only=True, tag="alerts_retried"):
    """Alerts answers `RetryAlerts`."""

    count: int


class TestAlert(Body, frozen=True, kw_only=True, tag="test_alert"):
    """Web asks alerts to send a test alert, once; answered by `AlertTested` when it was tried."""

    #: an address of mail; empty: the action of the config at `index`
    to: str = ""
    index: int = 0

    __test__ = False


class AlertTested(Body, frozen=True, kw_only=True, tag="alert_tested"):
    """Alerts answers `TestAlert`."""

    event_id: str
    target: str
    delivered: bool
    #: what became of it, as the other side said it
    text: str
