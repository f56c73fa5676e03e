"""Where the spool's file system cannot punch holes, health says so, and what to do."""

from pathlib import Path

from apsis.home import Home
from apsis_bus.lock import ServiceLock
from apsis_web.health import hosts


def test_a_spool_that_cannot_give_back_parts_of_files_is_a_warning(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    lock = ServiceLock(home, "supervisor")
    lock.take()
    running = [{"name": "supervisor", "state": "running"}, {"name": "web", "state": "running"}]

    lock.ready(holes="yes")
    assert [(check.id, check.status) for check in hosts(running, home)] == [("supervisor", "ok")]
    lock.ready(holes="no")
    (check,) = hosts(running, home)
    assert check.status == "warn"
    assert "cannot give back parts of files" in check.message
    assert str(home.spool) in check.message
    (check,) = hosts([{"name": "supervisor", "state": "failed"}], home)
    assert check.status == "fail"
