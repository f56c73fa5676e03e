"""The files that a program prints into are its own to open again, as `echo > /dev/stdout` does."""

import os

import pytest


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize("streams", ["merged", "split"])
def test_a_program_of_another_user_can_open_its_output_again(host, streams):
    script = "echo one; echo two >> /dev/stdout; echo three >> /dev/stderr"
    state = host.ran("r1", "sh", "-c", script, user="nobody", streams=streams)
    assert state.result["code"] == 0
    (folder,) = (host.spool / "runs").iterdir()
    names = ("output",) if streams == "merged" else ("stdout", "stderr")
    assert "".join((folder / name).read_text() for name in names) == "one\ntwo\nthree\n"
    for name in names:
        found = (folder / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65534, 65534, 0o640)
