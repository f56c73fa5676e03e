"""Failpoints of an installation: armed by a test, reached by a process of it."""

from pathlib import Path


class Points:
    """The folder in which failpoints are armed; `environment` is what the installation is started with."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        # processes of any user of the test may take a point away
        folder.chmod(0o777)
        self.folder = folder
        self.environment = {"APSIS_FAILPOINTS": str(folder)}

    def arm(self, point: str, verb: str) -> None:
        """Have the first process that reaches the point be ended (`kill`), stopped (`stop`) or delayed (`sleep S`)."""
        fresh = self.folder / f".{point}"
        fresh.write_text(verb)
        fresh.rename(self.folder / point)

    def reached(self, point: str) -> bool:
        """Whether an armed point was taken."""
        return not (self.folder / point).exists()
