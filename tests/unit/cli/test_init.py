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


@pytest.mark.parametrize("left", [None, "", "\n"])
def test_a_token_that_is_gone_or_empty_is_made_anew_and_nothing_else(tmp_path, capsys, left):
    home = Home(tmp_path / "home")
    init(home.root)
    config = home.config.read_text()
    home.token.unlink() if left is None else home.token.write_text(left)
    assert init(home.root) == 0
    assert mode(home.token) == 0o600
    assert len(home.token.read_text().strip()) >= 40
    assert home.config.read_text() == config
    assert "Made a new token" in capsys.readouterr().out


def test_a_disk_that_fills_up_leaves_no_half_of_a_file(tmp_path, capsys, monkeypatch):
    """Each file of the home in turn is the one that has no room."""
    home = Home(tmp_path / "home")
    for room in range(3):
        written = []

        def full(descriptor, written=written, room=room):
            written.append(descriptor)
            if len(written) > room:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        status = init(home.root)
        monkeypatch.undo()
        assert status == (1 if room < 2 else 0)
        said = capsys.readouterr().err
        assert ("No space left on device" in said and str(home.root) in said) or status == 0
        for path in (path for path in home.root.iterdir() if path.is_file()):
            assert path.stat().st_size > 0
            assert not path.name.endswith(".new")
    assert load_config(home).web.port == 5883


@pytest.mark.parametrize("words", [["token"], ["status"], ["stop"], ["restart"], ["reload"], ["logs"], ["start"]])
def test_a_folder_that_is_no_home_is_called_so_in_the_same_words(tmp_path, capsys, words):
    assert run(group, "apsisctl", ["--home", str(tmp_path), *words]) == 1
    assert capsys.readouterr().err == (
        f"Error: {tmp_path} is not an Apsis home: it has no apsis.yaml.\n  make one with: apsisctl init {tmp_path}\n"
    )


def test_without_a_command_there_is_the_help(capsys):
    from apsis.cli.main import group as people

    for tool, name in ((group, "apsisctl"), (people, "apsis")):
        assert run(tool, name, []) == 0
        said = capsys.readouterr()
        assert said.out.startswith(f"Usage: {name} ")
        assert said.err == ""


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
