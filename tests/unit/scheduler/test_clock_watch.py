"""A wall clock that is set is noticed, once, and by how much."""

import time

import pytest

from apsis_services.scheduler.clock import ClockWatch


def test_a_clock_that_is_set_is_noticed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, boot = 1000.0, 50.0
    monkeypatch.setattr(time, "time", lambda: wall)
    monkeypatch.setattr(time, "clock_gettime", lambda _clock: boot)
    watch = ClockWatch()
    wall, boot = 4600.0, 3650.0
    assert watch.moved() == 0.0, "time has passed, and it slept"
    wall -= 1800.0
    assert watch.moved() == -1800.0
    assert watch.moved() == 0.0
    wall += 0.5
    assert watch.moved() == 0.0, "a clock that goes well is adjusted"
    wall += 0.6
    assert watch.moved() == pytest.approx(1.1)
