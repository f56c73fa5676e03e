"""What scheduler and loader say to each other about the job directory."""

from typing import Any

import msgspec


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the scheduler wants."""

    #: the config's short names for classes of one's own
    aliases: dict[str, dict[str, str]] = {}
    #: jobs whose definitions are wanted although the database has them: it has one that is good no more
    anew: list[str] = []
    #: runs are started meanwhile, and come first
    aside: bool = False


class Known(msgspec.Struct, frozen=True):
    """A job that the scheduler has already."""

    version: str
    file: str


class Read(msgspec.Struct, frozen=True):
    """A job whose file says something else than the scheduler knows."""

    job_id: str
    version: str
    file: str
    definition: dict[str, Any]


class Part(msgspec.Struct, frozen=True, tag="part"):
    """Some of the jobs that are new, or others than before."""

    jobs: list[Read]


class Reading(msgspec.Struct, frozen=True, kw_only=True, tag="reading"):
    """What else there is to say of a job directory, after all parts."""

    #: known jobs whose files are gone
    gone: list[str] = []
    #: known jobs whose files are there, and broken
    broken: list[str] = []
    #: findings, with `jobs`: the ids of those that are not loaded for it
    errors: list[dict[str, Any]] = []
    #: why the directory cannot be read at all, or ""
    unreadable: str = ""
    #: files of jobs that there are, and how many of them were opened
    files: int = 0
    opened: int = 0
