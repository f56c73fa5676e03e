"""Supervisor, web and whoever watches: what runs on a host at this moment. Ephemeral: never stored, never replayed."""

from typing import Final

from apsis.messages.body import Body

#: the output of a run that holds its series of `Sample` lines; not among those that it printed
SAMPLES: Final = "samples"


class LiveProcess(Body, frozen=True, kw_only=True, tag="live_process"):
    """One process of a run's tree: `depth` 0 is the program itself, or what lost its parent."""

    pid: int
    depth: int
    name: str
    #: the kernel's letter: R, S, D, T, ...
    status: str
    #: per cent of one core since the last sample
    cpu: float
    #: resident bytes
    rss: int
    threads: int
    #: bytes read from and written to disks so far; None: it may not be known to us
    read: int | None = None
    written: int | None = None


class LiveRun(Body, frozen=True, kw_only=True, tag="live_run"):
    """A running run: its tree now, and the highest figures since it was first sampled."""

    run_id: str
    processes: list[LiveProcess]
    cpu: float
    rss: int
    peak_rss: int
    peak_cpu: float
    peak_processes: int
    #: sums over those that live, also over those that are not told
    threads: int = 0
    read: int = 0
    written: int = 0
    #: how many there are; `processes` may be cut
    total: int = 0


class LiveHost(Body, frozen=True, kw_only=True, tag="live_host"):
    """Supervisor publishes on `v1/live/host/HOST/` each 2 s while something runs; answers `AskLive` with it.

    Trees of more than 32 processes are cut; `runs` is spread over several messages where it would not fit in one.
    """

    host: str
    at: str
    runs: list[LiveRun]


class Sample(Body, frozen=True, kw_only=True, tag="sample"):
    """Supervisor writes one line of it into a run's output `samples`, ever more seldom the longer the run lasts.

    Sums over the processes that lived at that moment.
    """

    at: str
    cpu: float
    rss: int
    processes: int
    threads: int
    read: int
    written: int


class AskLive(Body, frozen=True, kw_only=True, tag="ask_live"):
    """Web asks `supervisor/HOST`: the last sample of one run, or of all. Answered by `LiveHost`."""

    run_id: str | None = None
