"""NAME=VAL on the command line, and whether a job takes them."""

import difflib
from collections.abc import Sequence
from typing import Any

from apsis.errors import BadRequest

Json = dict[str, Any]


def read_args(words: Sequence[str]) -> dict[str, str]:
    """Return args from `NAME=VAL` words.

    Raises:
        BadRequest: one is none, or a name comes twice.
    """
    args: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise BadRequest(f"{word!r} is no arg", hint="Args are written NAME=VAL, e.g. date=2026-06-30")
        if name in args:
            raise BadRequest(f"arg {name!r} is given twice")
        args[name] = value
    return args


def check_args(job: Json, args: dict[str, str]) -> None:
    """Refuse args that a job does not take, and the absence of those that it needs.

    Raises:
        BadRequest: it is so; the hint has an example.
    """
    job_id, params, specs = job["job_id"], job.get("params") or [], job.get("param_specs") or {}
    for name in args:
        if name not in params:
            near = difflib.get_close_matches(name, params, n=1)
            known = f"it takes: {', '.join(params)}" if params else "it takes none"
            raise BadRequest(
                f"job {job_id!r} has no param {name!r}; {known}", hint=f"Did you mean: {near[0]}" if near else ""
            )
    missing = [name for name in params if name not in args and (specs.get(name) or {}).get("default") is None]
    if missing:
        given = ", ".join(args) or "none"
        word = "param" if len(missing) == 1 else "params"
        names = ", ".join(repr(name) for name in missing)
        example = " ".join([*(f"{n}={v}" for n, v in args.items()), *(f"{n}={_example(specs, n)}" for n in missing)])
        raise BadRequest(
            f"job {job_id!r} needs {word} {names} (got: {given})", hint=f"Example: apsis run {job_id} {example}"
        )


def _example(specs: Json, name: str) -> str:
    choices = (specs.get(name) or {}).get("choices")
    return str(choices[0]) if choices else {"date": "2026-06-30"}.get(name, "...")
