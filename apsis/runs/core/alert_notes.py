"""What the service for alerts tells of its attempts: written into the logs of their runs, once and in order."""

from apsis.messages.alerts import AlertNotes, AlertsNoted
from apsis.runs.core.effects import Reply
from apsis.runs.core.turn import Turn

#: who writes these notes; that service passes over what it wrote itself
ACTOR = "alerts"
#: where the last number stands among the single values
KEY = "alerts"
#: characters of one note
_LONGEST = 1000


def take_notes(turn: Turn, message: AlertNotes, token: object) -> None:
    """Write those that come next, and answer up to where all are written.

    What lies before `after` was acknowledged by a scheduler whose database is lost: it cannot be had any more.
    """
    epoch, _, number = turn.book.alerts.partition(" ")
    last = int(number) if epoch == message.epoch else 0
    last = first = max(last, message.after)
    for note in message.items:
        if note.seq != last + 1:
            continue
        last = note.seq
        row = turn.book.find(note.run_id)
        if row is not None:
            turn.note(row, note.text[:_LONGEST], actor=ACTOR)
    if last != first or epoch != message.epoch:
        turn.book.alerts = turn.effects.meta[KEY] = f"{message.epoch} {last}"
    turn.effects.replies.append(Reply(token, AlertsNoted(epoch=message.epoch, seq=last)))
