"""Watchers hear of growth at once, then at most ten times a second, and always the last word."""

from apsis.messages.outputs import LiveOutput
from apsis_services.store.live import LiveOutputs


class Clock:
    """An event loop's `call_later`, whose time a test moves."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def call_later(self, delay, callback):
        self.calls.append((self.now + delay, callback))

    def move(self, seconds):
        self.now += seconds
        while due := [call for call in self.calls if call[0] <= self.now]:
            self.calls.remove(due[0])
            due[0][1]()


def output(length, stream="output", run="r1"):
    return LiveOutput(run_id=run, stream=stream, length=length)


def test_growth_is_told_at_once_then_ten_times_a_second_and_the_last_word_always_comes():
    clock, told = Clock(), []
    live = LiveOutputs(told.append, clock.call_later)
    live.grew(output(1))
    assert [o.length for o in told] == [1]
    for n in range(2, 1002):
        live.grew(output(n))
        clock.move(0.001)
    assert 9 <= len(told) <= 12
    clock.move(1)
    assert told[-1].length == 1001
    assert not clock.calls, "nothing wakes up for a run that is quiet"


def test_two_streams_share_the_run_s_ten_a_second_and_other_runs_have_their_own():
    clock, told = Clock(), []
    live = LiveOutputs(told.append, clock.call_later)
    for n in range(1000):
        live.grew(output(n, "stdout"))
        live.grew(output(n, "stderr"))
        live.grew(output(n, run="r2"))
        clock.move(0.001)
    assert len([o for o in told if o.run_id == "r1"]) <= 12
    clock.move(1)
    last = {(o.run_id, o.stream): o.length for o in told}
    assert last == {("r1", "stdout"): 999, ("r1", "stderr"): 999, ("r2", "output"): 999}
