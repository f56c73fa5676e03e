"""What the configuration says of keeping outputs, as the rules that retention decides by."""

from apsis.config import Output
from apsis.messages.outputs import KeepPolicy
from apsis_services.store.retention import Rules


def rules_of(output: Output) -> Rules:
    """Return the rules for all jobs."""
    keep = output.keep
    return Rules(KeepPolicy(days=keep.days, count=keep.count, bytes=keep.bytes), output.total_bytes)
