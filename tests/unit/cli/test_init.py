"""`apsisctl init` and the configuration that it writes."""

import stat

import pytest

from apsis.cli.control import group
from apsis.cli.ctl.settings import set_port
from apsis.cli.edge import run
from apsis.config import load_config
from apsis.errors import ConfigError
from apsis.home import Home


@pytest.fixture(autouse=True)
def no_home(monkeypatch, tmp_path):
    monkeypatch.setenv("APSIS_HOME", str(tmp_path / "elsewhere"))


def init(*words):
    return run(group, "apsisctl", ["init", *map(str, words)])


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_is_made_that_only_its_owner_can_log_in_from(tmp_path, capsys):
    home = Home(tmp_path / "deep" / "home")
    assert init(home.root) == 0
    assert mode(home.token) == 0o600
    assert len(home.token.read_text().strip()) >= 40
    assert mode(home.keys) == 0o700
    assert mode(home.run) == mode(home.root) == 0o750
    config = load_config(home)
    assert (config.web.bind, config.web.port) == ("127.0.0.1", 5883)
    assert config.job_dir == home.jobs
    assert f"apsisctl --home {home.root} start" in capsys.readouterr().out


def test_init_again_changes_nothing(tmp_path):
    home = Home(tmp_path / "home")
    init(home.root)
    token, config = home.token.read_text(), home.config.read_text()
    home.config.write_text(config + "# mine\n")
    assert init(home.root) == 0
    assert home.token.read_text() == token
    assert home.config.read_text() == config + "# mine\n"


def test_a_folder_that_is_not_empty_and_not_ours_is_refused_and_left_alone(tmp_path, capsys):
    (tmp_path / "photo.jpg").write_text("mine")
    assert init(tmp_path) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    said = capsys.readouterr().err
    assert "not empty" in said
    assert "photo.jpg" in said


def test_an_init_that_was_broken_off_is_gone_on_with(tmp_path):
    home = Home(tmp_path / "home")
    home.jobs.mkdir(parents=True)
    home.token.write_text("kept\n")
    assert init(home.root) == 0
    assert home.token.read_text() == "kept\n"


def test_a_file_in_the_place_of_a_home_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert init(tmp_path / "file") == 6
    assert "is a file" in capsys.readouterr().err


def test_the_demo_has_jobs_that_load_and_its_files_are_never_overwritten(tmp_path, capsys):
    from apsis.jobs import load_jobs

    home = Home(tmp_path / "home")
    assert init(home.root, "--demo") == 0
    loaded = load_jobs(home.jobs)
    assert len(loaded.jobs) >= 14
    assert not loaded.errors
    changed = next(path for path in sorted(home.jobs.rglob("*.yaml")))
    changed.write_text("# mine")
    assert init(home.root, "--demo") == 0
    assert changed.read_text() == "# mine"
    assert not list(home.root.rglob("__pycache__"))


def test_a_folder_that_cannot_be_written_is_said_without_a_traceback(tmp_path, capsys, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    assert init(tmp_path / "home") == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "make room" in said


CONFIGS = {
    "web:\n  bind: 127.0.0.1\n  # the port\n  port: 5883 # ours\nlog: {level: info}\n": "  port: 7000 # ours\n",
    "web:\n  bind: 127.0.0.1\n": "web:\n  port: 7000\n  bind: 127.0.0.1\n",
    "# nothing\n": "# nothing\n\nweb:\n  port: 7000\n",
    "": "\nweb:\n  port: 7000\n",
    "log:\n  level: info\nweb: # here\n\n  port: 1\n": "web: # here\n\n  port: 7000\n",
}


@pytest.mark.parametrize("text", CONFIGS)
def test_the_port_is_changed_and_nothing_else(tmp_path, text):
    home = Home(tmp_path)
    home.config.write_text(text)
    set_port(home, 7000)
    assert load_config(home).web.port == 7000
    assert CONFIGS[text] in home.config.read_text()
    assert len(home.config.read_text().splitlines()) - len(text.splitlines()) in (0, 1, 2, 3)


@pytest.mark.parametrize("text", ["web: {port: 5}\n", "{web: {bind: 127.0.0.1}}\n"])
def test_a_form_in_which_the_port_is_not_found_is_refused_and_left_as_it_is(tmp_path, text):
    home = Home(tmp_path)
    home.config.write_text(text)
    with pytest.raises(ConfigError, match="cannot be written"):
        set_port(home, 7000)
    assert home.config.read_text() == text
