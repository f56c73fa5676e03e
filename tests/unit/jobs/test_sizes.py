"""What is too large for a message or for the kernel is refused when a run is made, and not when it is to start."""

import pytest

from apsis.jobs import BindError, complete_args, expand, parse_job
from apsis.jobs.sizes import ARGS_MAX, PROGRAM_MAX, WORD_MAX
from apsis.messages.body import encode
from apsis.messages.dispatch import Start
from apsis.programs.process import ProcessProgram
from apsis_bus.limits import MAX_FRAME


def job(*argv: str, **keys: object) -> object:
    return parse_job("a", {"program": {"type": "program", "argv": list(argv), **keys}, "params": ["text", "more"]})


def bound(*argv: str, **keys: object) -> ProcessProgram:
    program = expand(job(*argv, **keys), "r1", {}, None).program  # type: ignore[arg-type]
    assert isinstance(program, ProcessProgram)
    return program


def test_args_may_have_so_many_bytes_and_not_one_more() -> None:
    room = ARGS_MAX - len("text") - len("more") - 1
    assert complete_args(job("true"), {"text": "x" * room, "more": "y"})["more"] == "y"  # type: ignore[arg-type]
    for text in ("x" * (room + 1), "ü" * (room // 2 + 1)):
        with pytest.raises(BindError, match="the args have") as caught:
            complete_args(job("true"), {"text": text, "more": "y"})  # type: ignore[arg-type]
        assert caught.value.key == "text"


def test_one_argument_may_be_as_large_as_the_kernel_takes() -> None:
    bound("echo", "x" * WORD_MAX)
    with pytest.raises(BindError, match="the kernel takes") as caught:
        bound("echo", "x" * (WORD_MAX + 1))
    assert caught.value.key == "program.argv[1]"
    with pytest.raises(BindError, match="the kernel takes"):
        bound("echo", env={"A": "x" * WORD_MAX})


def test_all_arguments_together_are_bounded() -> None:
    with pytest.raises(BindError, match="together"):
        bound("echo", *["x" * 100_000] * 6)


@pytest.mark.parametrize("character", ["x", '"', "\n", "\x01", "ü", "€"])
def test_what_is_allowed_fits_into_a_message_whatever_its_characters_take(character: str) -> None:
    """What did not would end the scheduler at each attempt to send it."""
    room = PROGRAM_MAX // len(character.encode())
    words = [character * (WORD_MAX // 6)] * (room // (WORD_MAX // 6))
    while words:
        try:
            program = bound("echo", *words)
        except BindError:
            words.pop()
        else:
            break
    assert words
    args = {"text": "\x01" * (ARGS_MAX - 10)}
    start = Start(
        dispatch=1, run_id="r1", job_id="a", args=args, schedule_time=None, args_hash="", process=program.to_process()
    )  # fmt: skip
    assert len(encode(start)) < MAX_FRAME + 6 * ARGS_MAX
