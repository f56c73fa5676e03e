"""A program that runs as a process, as bound for one run."""

from dataclasses import dataclass, field
from typing import Any

from apsis.messages.dispatch import Process, StopPolicy, TimeoutPolicy
from apsis.messages.outputs import KeepPolicy
from apsis.programs.signals import signal_name
from apsis.programs.surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessProgram:
    """All that is known of a process before it is started; nothing in it is a template any more."""

    type: str
    argv: tuple[str, ...]
    #: the shell command as it was written and expanded; None for a program with argv
    command: str | None = None
    #: what a run shows of it besides its words: the function that is called, the address that is asked
    details: dict[str, Any] = field(default_factory=dict)
    #: host, group or alias; None: any
    host: str | None = None
    user: str | None = None
    group: str | None = None
    cwd: str | None = None
    env: dict[str, str | None] = field(default_factory=dict)
    stop: StopPolicy = field(default_factory=StopPolicy)
    timeout: TimeoutPolicy | None = None
    leftovers: str = "kill"
    streams: str = "merged"
    max_bytes: int | None = None
    #: how long the output is kept; None: as the config says
    keep: KeepPolicy | None = None
    #: exit statuses that count as success
    success_exit_codes: tuple[int, ...] = (0,)
    #: exit statuses by which a program of ours says that nothing was carried out: error, not failure
    error_exit_codes: tuple[int, ...] = ()
    around: Surroundings = field(default_factory=Surroundings)

    def to_process(self, *, env: dict[str, str] | None = None, max_bytes: int | None = None) -> Process:
        """Return what the supervisor is told.

        `env` (what is set for every run) yields to the program's own; `max_bytes` counts where the job gives none.
        """
        return Process(
            argv=list(self.argv),
            env={**(env or {}), **self.env},
            cwd=self.cwd,
            user=self.user,
            group=self.group,
            stop=self.stop,
            timeout=self.timeout,
            streams=self.streams,
            leftovers=self.leftovers,
            max_bytes=self.max_bytes if self.max_bytes is not None else max_bytes,
            keep=self.keep,
            env_file=self.around.env_file,
            inherit_env=self.around.inherit_env,
            secrets=self.around.secrets,
            stdin=self.around.stdin,
            stdin_file=self.around.stdin_file,
            umask=self.around.umask,
            nice=self.around.nice,
            limits=self.around.limits,
            cgroup=self.around.cgroup,
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as a run shows it: environment variables by name only, and nothing that is as by default."""
        shown: dict[str, Any] = {"type": self.type, **self.details}
        if self.command is None:
            shown["argv"] = list(self.argv)
        else:
            shown |= {"command": self.command, "argv": list(self.argv)}
        for key in ("host", "user", "group", "cwd", "max_bytes"):
            if getattr(self, key) is not None:
                shown[key] = getattr(self, key)
        if self.env:
            shown["env"] = sorted(self.env)
        shown["stop"] = {"signal": signal_name(self.stop.signal), "grace_period": self.stop.grace}
        if self.timeout:
            shown["timeout"] = {"duration": self.timeout.duration, "signal": signal_name(self.timeout.signal)}
        if self.success_exit_codes != (0,):
            shown["success_exit_codes"] = list(self.success_exit_codes)
        return {**shown, **self.around.to_json(), "leftovers": self.leftovers, "streams": self.streams}
