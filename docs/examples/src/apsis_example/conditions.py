"""A condition: enough room on a disk."""

import shutil

import apsis


class FreeDisk(apsis.PolledCondition):
    """Holds when so many gigabytes are free where `path` lies; looked at every ten seconds."""

    poll_interval = 10.0

    def __init__(self, path: str, gigabytes: float) -> None:
        self.path = path
        self.gigabytes = float(gigabytes)

    def check(self, run: apsis.WaitingRun) -> bool | str:
        """Look, and say how much is missing."""
        free = shutil.disk_usage(self.path).free / 1e9
        return free >= self.gigabytes or f"{self.path} has {free:.1f} GB free, and {self.gigabytes:g} are wanted"
