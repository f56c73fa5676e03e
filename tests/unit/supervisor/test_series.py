"""The series of figures: often at first, then ever more seldom, and never a broken line."""

from pathlib import Path

from apsis.messages.body import decode
from apsis.messages.live import SAMPLES, LiveRun, Sample
from apsis_services.supervisor.facts import Key
from apsis_services.supervisor.figures.series import SeriesBook, is_due

KEY = Key(7, "r1")
RUN = LiveRun(
    run_id="r1", processes=[], cpu=12.5, rss=4096, peak_rss=0, peak_cpu=0, peak_processes=0, threads=3, total=2
)


def lines(folder: Path) -> list[Sample]:
    return [decode(Sample, line) for line in (folder / str(KEY) / SAMPLES).read_bytes().splitlines()]


def points_of(seconds: int) -> int:
    """Return how many lines a run of that length gets, looked at each 2 s."""
    last, count = None, 0
    for age in range(2, seconds, 2):
        if is_due(float(age), last):
            last, count = float(age), count + 1
    return count


def test_a_short_run_keeps_each_sample_and_a_long_one_ever_fewer() -> None:
    assert points_of(600) == 299
    assert 1_500 < points_of(86_400) < 2_000
    assert points_of(30 * 86_400) < 3_000


def test_a_line_has_the_sums_of_a_moment(tmp_path: Path) -> None:
    (tmp_path / str(KEY)).mkdir()

    SeriesBook(tmp_path).write("now", {KEY: 4.0}, {KEY: RUN})

    assert lines(tmp_path) == [Sample(at="now", cpu=12.5, rss=4096, processes=2, threads=3, read=0, written=0)]


def test_what_is_not_due_is_not_written(tmp_path: Path) -> None:
    (tmp_path / str(KEY)).mkdir()
    book = SeriesBook(tmp_path)
    for age in (6000.0, 6002.0, 6030.0):
        book.write(str(age), {KEY: age}, {KEY: RUN})

    assert [line.at for line in lines(tmp_path)] == ["6000.0", "6030.0"]


def test_a_run_without_a_folder_is_passed_over(tmp_path: Path) -> None:
    other = Key(7, "r2")
    (tmp_path / str(other)).mkdir()

    SeriesBook(tmp_path).write("now", {KEY: 4.0, other: 4.0}, {KEY: RUN, other: RUN})

    assert (tmp_path / str(other) / SAMPLES).exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / str(KEY)
    folder.mkdir()
    (tmp_path / "elsewhere").write_text("")
    (folder / SAMPLES).symlink_to(tmp_path / "elsewhere")

    SeriesBook(tmp_path).write("now", {KEY: 4.0}, {KEY: RUN})

    assert (tmp_path / "elsewhere").read_text() == ""
