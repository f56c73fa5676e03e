"""The configuration: an empty file is one, and what is not known is refused with what was meant."""

from pathlib import Path

import pytest

from apsis.config import load_config
from apsis.errors import ConfigError
from apsis.home import Home


def written(folder: Path, text: str) -> Home:
    home = Home(folder)
    home.config.write_text(text)
    return home


def test_an_empty_file_is_a_whole_configuration(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, ""))

    assert (config.web.bind, config.web.port) == ("127.0.0.1", 5883)
    assert config.job_dir == tmp_path / "jobs"


def test_paths_are_relative_to_the_home_unless_absolute(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "job_dir: work\ndatabase: /srv/apsis.db\n"))

    assert config.job_dir == tmp_path / "work"
    assert config.database == Path("/srv/apsis.db")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("wbe: {}", "unknown key wbe", "did you mean web"),
        ("web: {prot: 1}", "unknown key web.prot", "did you mean port"),
        ("web: {port: x}", "web.port must be a whole number, not 'x'", ""),
        ("web: {port: 70000}", "web.port 70000 is not between 0 and 65535", ""),
        ("web: [1]", "web must be a mapping of keys to values, not [1]", ""),
        ("schedule: {max_age: [1]}", "schedule.max_age must be a number or null, not [1]", ""),
        ("resources: {db: x}", "Expected `int`", ""),
        ("schedule: {horizon: 0}", "schedule.horizon 0.0 is not between 1 and", ""),
        ("schedule: {horizon: .nan}", "schedule.horizon nan is not between", ""),
        ("schedule: {horizon: .inf}", "schedule.horizon inf is not between", ""),
        ("schedule: {max_ahead: 0}", "schedule.max_ahead 0 is not between", ""),
        ("schedule: {max_age: -1}", "schedule.max_age -1.0 is not between", ""),
        ("runs: {lookback: -1}", "runs.lookback -1.0 is not between", ""),
        ("waiting: {max_time: -1}", "waiting.max_time -1.0 is not between", ""),
        ("output: {max_bytes: 0}", "output.max_bytes 0 is not between", ""),
        ("resources: {db: 0}", "resources.db 0 is not 1 or more", ""),
        ("log: {level: loud}", "log.level 'loud' is not one of", ""),
        ("- a", "must be a mapping", "an empty file is valid too"),
        ("a: [", "is not YAML", ""),
        ("web: {port: 1}\nlog: {}\nweb: {bind: '::1'}", "apsis.yaml:3: the key web stands there a second time", "one"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))

    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_folder_that_is_no_home_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Home(tmp_path))

    assert "is not an Apsis home" in caught.value.message
    assert "init" in caught.value.hint
