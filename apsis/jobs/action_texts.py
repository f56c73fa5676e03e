"""The templates of actions that are expanded when a run has ended: checked when the job is read, as no run could."""

from collections.abc import Collection, Iterator, Sequence

from apsis.actions.action import FACTS, ActionSpec
from apsis.definitions.nearest import did_you_mean
from apsis.jobs.simple_templates import names_in
from apsis.programs.templated import has_template

#: what the templates of every run may name
_ALWAYS = ("run_id", "job_id", "schedule_time")


#: index of an action, path in it, and what is wrong
Wrong = tuple[int, tuple[str | int, ...], str]


def wrong_texts(actions: Sequence[ActionSpec], params: Collection[str]) -> Iterator[Wrong]:
    """Yield each template that could not be expanded."""
    known = {*_ALWAYS, *FACTS, *params}
    for index, action in enumerate(actions):
        for path, text in action.texts().items():
            if has_template(text) and (why := _why(text, known)):
                yield index, path, why


def _why(text: str, known: Collection[str]) -> str | None:
    simple = names_in(text)
    if simple is not None:
        unknown = sorted({name for name, _ in simple} - set(known))
    else:
        from apsis.jobs.templates import check_text, unknown_names

        if (why := check_text(text)) is not None:
            return why
        unknown = unknown_names(text, known)
    return f"template: {unknown[0]!r} is not known here{did_you_mean(unknown[0], known)}" if unknown else None
