"""A host: its disk, its kernel, and the supervisor's process on it, which runs the real protocol core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulated.disk import Disk
from simulated.kernel import Kernel

if TYPE_CHECKING:
    from simulated.supervisor import Supervisor
    from simulated.world import World

    from apsis_services.supervisor.facts import Key


class Machine:
    """What stays when the supervisor is killed; of which the kernel goes when it is booted anew."""

    supervisor: Supervisor

    def __init__(self, world: World, host: str) -> None:
        self.world = world
        self.host = host
        self.name = f"host {host}"
        self.disk = Disk(world.random)
        self.boots = 1
        #: forks fail just now
        self.zygote_fails = False
        self._pid = 100
        self.kernel = Kernel(self)
        #: away: between going down and coming up
        self.is_up = True
        #: what it has told may be told again under another number
        self.has_lost_its_log = False

    @property
    def boot(self) -> str:
        """The boot id."""
        return f"b{self.boots}"

    def next_pid(self) -> int:
        """Return a process id."""
        self._pid += 1
        return self._pid

    def changed(self, key: Key) -> None:
        """A journal has changed; inotify tells the supervisor, or that its queue was full: then all are read."""
        if self.world.random.random() < 0.9:
            self.supervisor.notice(key)
        else:
            self.world.met("notice lost")
            self.supervisor.overflow()

    def reboot(self, power_cut: bool) -> None:
        """Go down and come up; a cut of the power takes what was written last."""
        if not self.is_up:
            return
        self.is_up = False
        now = self.world.clock.now
        self.world.say(self.name, "loses its power" if power_cut else "goes down")
        self.supervisor.kill("with its host")
        self.kernel.power_off()
        self.world.watcher.in_doubt(self.host, "the host went down")
        if power_cut:
            self.has_lost_its_log = True
            for key in self.disk.cut(now - self.world.random.uniform(0.0, 15.0)):
                truth = self.world.truth(self.host, key)
                truth.unknowable = truth.unknowable or "the power was cut before its journal was on the disk"
        self.world.clock.after(self.world.random.uniform(2.5, 6.0), self._come_up)

    def _come_up(self) -> None:
        self.boots += 1
        self.kernel = Kernel(self)
        self.is_up = True
        self.world.say(self.name, f"is up, boot {self.boot}")
        self.supervisor.start()

    def wipe(self) -> None:
        """Lose the spool: the supervisor begins with an empty one, while the programs go on."""
        if not self.is_up:
            return
        self.is_up = False
        self.world.say(self.name, "loses its spool")
        self.supervisor.kill("with its spool")
        for key in [*self.disk.journals, *self.disk.archive]:
            truth = self.world.truth(self.host, key)
            truth.unknowable = truth.unknowable or "the spool was lost"
        self.world.watcher.in_doubt(self.host, "the spool was lost")
        self.disk.wiped(self.world.clock.now)
        for keeper in self.kernel.keepers.values():
            keeper.journal = None if keeper.journal is None else type(keeper.journal)(keeper.journal.lines, keeper)
        self.world.clock.after(self.world.random.uniform(2.5, 5.0), self._come_back)

    def _come_back(self) -> None:
        self.is_up = True
        self.supervisor.start()
