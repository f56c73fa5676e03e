"""Web says that it is ready when it can answer: who asks right after the start gets no "not ready yet"."""

from web_loop import until
from web_stage import Stage

from apsis_bus.lock import read_lock


def test_web_is_ready_when_the_database_of_a_new_home_has_come(stage: Stage) -> None:
    stage.hub.start()
    stage.web.start(ready=False)
    until(lambda: "event=database_away" in stage.web.log(), what="web has looked for the database")
    info = read_lock(stage.home.lock("web"))
    assert info is not None
    assert not info.ready

    stage.scheduler.join()
    stage.web.wait_ready()
    assert stage.get("/runs?limit=0").status == 200


def test_web_is_there_without_a_database_too(stage: Stage) -> None:
    stage.web.start()
    assert "event=not_loaded" in stage.web.log()
    assert stage.get("/alive").status == 200
    assert stage.get("/runs?limit=0").status == 503
