"""Quoting: args that a shell command takes as they are: a blank or a `;` in a value becomes part of the command."""

import shlex

from apsis.checking.first_runs import key_path
from apsis.definitions.finding import WARNING, Findings
from apsis.jobs.job import Job
from apsis.jobs.params import Param
from apsis.jobs.template_names import unquoted_args
from apsis.programs.templated import has_template

_KEY = "program.command"


def check_quoting(job: Job, findings: Findings) -> None:
    """Note the args in a shell command that do not go through `quote`."""
    command = job.program.texts().get(_KEY)
    if command is None or not has_template(command):
        return
    bare = [name for name in unquoted_args(command, job.params) if not _harmless(job.params[name])]
    if bare:
        names = ", ".join(bare)
        message = (
            f"command: {names} {'is' if len(bare) == 1 else 'are'} put into a shell command unquoted;"
            f" write {{{{ {bare[0]} | quote }}}}, or use `argv`"
        )
        findings.add(key_path(job, _KEY), message, code="unquoted", severity=WARNING)


def _harmless(param: Param) -> bool:
    """Return whether no value that the param may have means anything to a shell."""
    return param.choices is not None and all(shlex.quote(choice) == choice for choice in param.choices)
