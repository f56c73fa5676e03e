"""Files of the host that an environment is made from: env_file and secrets, and all that may be wrong with them."""

import os

import pytest

from apsis.home import Home
from apsis_services.supervisor.starting.env_file import read_env_file
from apsis_services.supervisor.starting.hostfiles import FILE_MAX, UnusableFile, read_small
from apsis_services.supervisor.starting.secret_files import Secrets


def write(path, content, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return str(path)


@pytest.fixture
def secrets(tmp_path):
    return Secrets(Home(tmp_path), {"other": "elsewhere/token", "absolute": str(tmp_path / "abs")})


def test_an_env_file_is_read_line_by_line(tmp_path):
    text = """
# a comment
A=1
export B = two words\t
C='single # $A \\n'
D="double \\"q\\" \\n \\$A \\\\"  # a comment
E=
A=later wins
F=a=b
"""
    assert read_env_file(write(tmp_path / "env", text)) == {
        "A": "later wins",
        "B": "two words",
        "C": "single # $A \\n",
        "D": 'double "q" \n $A \\',
        "E": "",
        "F": "a=b",
    }


@pytest.mark.parametrize("line", ["novalue", "1A=x", "A='open", 'A="open', 'A="x" y', "A B=c", "=x", "A=\0"])
def test_what_is_no_line_is_named_by_file_and_line_and_not_by_its_value(tmp_path, line):
    path = write(tmp_path / "env", f"OK=s3cr3t\n{line}\n")
    with pytest.raises(UnusableFile) as raised:
        read_env_file(path)
    assert f"{path}:2: expected NAME=value" in raised.value.message
    assert "s3cr3t" not in raised.value.message


def test_a_secret_is_read_from_its_place_without_the_end_of_its_line(tmp_path, secrets):
    write(tmp_path / "keys/secrets/db", "pass word\n")
    write(tmp_path / "elsewhere/token", "t\n\n")
    write(tmp_path / "abs", b"\xff\xfe", mode=0o400)
    found = secrets.resolve({"DB": "db", "T": "other", "ABS": "absolute"})
    assert found == {"DB": "pass word", "T": "t\n", "ABS": "\udcff\udcfe"}
    assert os.fsencode(found["ABS"]) == b"\xff\xfe"


def test_a_missing_secret_says_where_it_is_looked_for(tmp_path, secrets):
    with pytest.raises(UnusableFile, match="no secret 'db'") as raised:
        secrets.resolve({"DB": "db"})
    assert str(tmp_path / "keys/secrets/db") in raised.value.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_that_others_may_read_is_refused_with_the_remedy(tmp_path, secrets, mode):
    path = write(tmp_path / "keys/secrets/db", "x", mode)
    with pytest.raises(UnusableFile, match="open to others") as raised:
        secrets.resolve({"DB": "db"})
    assert raised.value.hint == f"chmod 600 {path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_secret_that_belongs_to_somebody_else_is_refused(tmp_path, secrets):
    os.chown(write(tmp_path / "keys/secrets/db", "x"), 65534, 65534)
    with pytest.raises(UnusableFile, match="belongs to uid 65534"):
        secrets.resolve({"DB": "db"})


def test_no_name_leads_out_of_the_folder(tmp_path, secrets):
    write(tmp_path / "keys/hub", "key")
    for name in ("../hub", "..", ".", "", "/etc/passwd"):
        with pytest.raises(UnusableFile, match="cannot be the name"):
            secrets.resolve({"X": name})


def test_what_would_block_or_fill_the_memory_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path, words in ((tmp_path / "fifo", "no regular file"), (tmp_path, "no regular file")):
        with pytest.raises(UnusableFile, match=words):
            read_small(path, "it")
    write(tmp_path / "big", b"x" * (FILE_MAX + 1))
    with pytest.raises(UnusableFile, match="too long"):
        read_small(tmp_path / "big", "it")
    write(tmp_path / "most", b"x" * FILE_MAX)
    assert len(read_small(tmp_path / "most", "it")) == FILE_MAX


def test_a_secret_with_a_nul_cannot_be_given(tmp_path, secrets):
    write(tmp_path / "keys/secrets/db", b"a\0b")
    with pytest.raises(UnusableFile, match="NUL"):
        secrets.resolve({"DB": "db"})
