"""One run after the other: what the core promises about each."""

from datetime import timedelta

from runs_stage import BEGIN, SHELL, World

from apsis.messages.dispatch import HostHello, Reports, Start, Started, Stop
from apsis.messages.requests import CreateRun, Done, Failed
from apsis.runs.core.inputs import HostLost, HostSaid
from apsis.runs.run import Exit
from apsis.runs.states import State
from apsis.times import format_time, parse_time


def test_an_ordinary_run_has_three_event_rows_and_its_history_for_ever(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    world.settle()
    host.finish(run.run_id, world.now)
    world.settle()
    assert world.run(run.run_id).state is State.SUCCESS
    assert world.events(run.run_id) == ["starting", "running", "success"]
    row = world.tables.run(run.run_id)
    assert row is not None
    assert [entry.event for entry in row.log] == ["starting", "running", "success"]
    assert [entry.actor for entry in row.log] == ["user:ann", "supervisor/local", "supervisor/local"]
    assert not world.tables.commands or all(key[0] == "local" for key in world.tables.commands)


def test_the_schedule_time_is_a_field_of_its_own_and_not_among_the_timestamps(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    due = BEGIN + timedelta(seconds=30)
    run = world.create("a", at=due)
    assert run.state is State.SCHEDULED
    world.advance(31)
    host.finish(run.run_id, world.now)
    world.settle()
    run = world.run(run.run_id)
    assert run.schedule_time == format_time(due)
    assert list(run.timestamps) == ["scheduled", "starting", "running", "success"]
    assert "schedule_time" not in run.timestamps
    assert format_time(due) == run.timestamps["starting"]


def test_no_run_starts_before_its_time(world: World) -> None:
    world.load({"a": {"program": SHELL, "schedule": {"type": "interval", "interval": 10}}})
    host = world.host()
    world.advance(95)
    assert host.started
    for run_id in host.started:
        run = world.run(run_id)
        assert run.schedule_time is not None
        assert parse_time(run.timestamps["starting"]) >= parse_time(run.schedule_time)
    assert len(host.started) == 9


def test_a_request_that_comes_again_gets_the_same_answer_and_makes_nothing(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    world.host()
    first = world.ask(CreateRun(job_id="a"), "key-1")
    again = world.ask(CreateRun(job_id="a"), "key-1")
    assert isinstance(first, Done)
    assert again == first
    assert len(world.runs("a")) == 1
    other = world.ask(CreateRun(job_id="a", count=2), "key-1")
    assert isinstance(other, Failed)
    assert other.code == "conflict"
    world.crash()
    assert world.ask(CreateRun(job_id="a"), "key-1") == first
    assert len(world.runs("a")) == 1


def test_a_report_that_the_table_refuses_is_stored_and_acknowledged(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    world.settle()
    host.finish(run.run_id, world.now)
    world.settle()
    host.report(Started, run_id=run.run_id, at=format_time(world.now), pid=7)
    world.settle()
    assert world.run(run.run_id).state is State.SUCCESS
    assert world.events(run.run_id)[-1] == "refused"
    assert not host.reports, "it was acknowledged"


def test_a_report_is_applied_once_and_in_order(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    world.settle()
    host.finish(run.run_id, world.now)
    said = host.said()
    late = Reports(
        host="local", epoch="e1", boot="b1", items=[Started(seq=9, run_id=run.run_id, at=said.items[0].end, pid=1)]
    )
    world.step(HostSaid(late))
    assert world.tables.hosts["local"].seq == 1, "a gap is left"
    world.step(HostSaid(said))
    events = world.events(run.run_id)
    world.step(HostSaid(said))
    assert world.events(run.run_id) == events
    assert world.tables.hosts["local"].seq == 2


def test_a_command_is_sent_again_until_it_is_answered_and_at_once_when_the_host_returns(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    world.host()
    world.create("a")
    sent = [len(world.outbox.due(t)) for t in (0.0, 0.1, 0.3, 0.5, 0.8, 1.0, 1.9, 2.0)]
    assert sent == [1, 0, 1, 0, 1, 0, 1, 0], "after 250 ms, then 500, then 1 s"
    world.step(HostSaid(world.hosts["local"].hello()))
    assert len(world.outbox.due(2.1)) == 1
    world.mono = 60.0
    world.settle()
    assert world.hosts["local"].started == ["r1"]
    assert world.outbox.unanswered("local") == 0


def test_a_run_whose_start_is_bound_to_a_lost_boot_ends_in_error_and_never_runs(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    host.boot = "b2"
    world.step(HostSaid(host.hello()))
    world.settle()
    assert host.started == []
    run = world.run(run.run_id)
    assert run.state is State.ERROR
    assert run.reason == "may have started before the host was lost"


def test_a_spool_that_is_lost_ends_its_claimed_runs_and_counts_reports_from_one(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    world.settle()
    host.epoch, host.seq, host.reports, host.journals = "e2", 0, [], {}
    world.step(HostSaid(host.hello()))
    assert world.run(run.run_id).state is State.ERROR
    other = world.create("a")
    world.settle()
    assert world.run(other.run_id).state is State.RUNNING


def test_a_stop_that_overtakes_its_start_ends_the_run_skipped(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    messages = world.outbox.due(0.0)
    assert isinstance(world.act(run.run_id, "stop"), Done)
    assert world.run(run.run_id).state is State.STARTING
    stops = world.outbox.due(0.0)
    assert isinstance(stops[0][1].items[0], Stop)
    for _, message in (*stops, *messages):
        world.step(HostSaid(host.obey(message, world.now)))
    world.settle()
    assert host.started == []
    assert world.run(run.run_id).state is State.SKIPPED


def test_a_run_that_obeys_its_stop_signal_is_a_success_and_one_that_is_killed_a_failure(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    obeys, killed = world.create("a"), world.create("a")
    world.settle()
    world.act(obeys.run_id, "stop")
    world.act(killed.run_id, "kill")
    assert world.run(obeys.run_id).state is State.STOPPING
    host.finish(obeys.run_id, world.now, Exit(signal=15), stopped=True)
    host.finish(killed.run_id, world.now, Exit(signal=9, killed_by="kill by user:ann"), stopped=True)
    world.settle()
    assert world.run(obeys.run_id).state is State.SUCCESS
    assert world.run(killed.run_id).state is State.FAILURE
    assert "kill by user:ann" in world.run(killed.run_id).reason


def test_a_program_that_exits_badly_is_a_failure_and_one_that_cannot_be_started_an_error(world: World) -> None:
    world.load({"a": {"program": {**SHELL, "success_exit_codes": [0, 3]}}})
    host = world.host()
    runs = [world.create("a") for _ in range(4)]
    world.settle()
    exits = [Exit(code=1), Exit(code=3), Exit(error="no such file"), Exit(signal=11)]
    for run, exit_ in zip(runs, exits, strict=True):
        host.finish(run.run_id, world.now, exit_)
    world.settle()
    assert [world.run(run.run_id).state for run in runs] == ["failure", "success", "error", "failure"]
    assert [world.run(run.run_id).reason for run in runs] == ["exit 1", "", "no such file", "signal 11"]


def test_without_its_host_a_run_waits_and_says_so(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    run = world.create("a")
    assert run.state is State.WAITING
    assert "host local" in run.reason
    host = world.host()
    world.settle()
    assert host.started == [run.run_id]


def test_a_host_that_stays_away_makes_its_runs_unreachable_and_never_fails_them(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    world.settle()
    world.step(HostLost("local"))
    world.advance(5)
    assert world.run(run.run_id).reachable, "a restart takes less than that"
    world.advance(6)
    assert not world.run(run.run_id).reachable
    assert world.run(run.run_id).state is State.RUNNING
    world.host()
    assert world.run(run.run_id).reachable
    assert host.started == [run.run_id]


def test_a_host_runs_eight_programs_a_core_and_the_others_wait(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host(cores=1)
    runs = [world.create("a") for _ in range(10)]
    world.settle()
    assert len(host.started) == 8
    assert "8 runs at a time" in world.run(runs[9].run_id).reason
    host.finish(host.started[0], world.now)
    world.settle()
    assert len(host.started) == 9


def test_a_no_op_runs_in_the_core_and_survives_a_restart(world: World) -> None:
    program = {"type": "no-op", "duration": 20}
    world.load({"a": {"program": program}, "bad": {"program": {**program, "success": False, "duration": 0}}})
    run, bad = world.create("a"), world.create("bad")
    world.advance(1)
    assert world.run(bad.run_id).state is State.FAILURE
    assert world.run(run.run_id).state is State.RUNNING
    world.crash()
    world.advance(18)
    assert world.run(run.run_id).state is State.RUNNING
    world.advance(1)
    assert world.run(run.run_id).state is State.SUCCESS
    assert world.events(run.run_id) == ["starting", "running", "success"]


def test_marking_and_running_again_say_so_on_both_runs(world: World) -> None:
    world.load({"a": {"program": SHELL, "params": ["x"]}})
    host = world.host()
    run = world.create("a", x="1")
    world.settle()
    refused = world.act(run.run_id, "rerun")
    assert isinstance(refused, Failed)
    assert refused.code == "conflict"
    host.finish(run.run_id, world.now, Exit(code=2))
    world.settle()
    assert isinstance(world.act(run.run_id, "mark", state="success"), Done)
    assert world.run(run.run_id).state is State.SUCCESS
    assert world.events(run.run_id)[-1] == "mark"
    done = world.act(run.run_id, "rerun")
    assert isinstance(done, Done)
    again = world.run(done.result["run"]["run_id"])
    assert again.rerun_of == run.run_id
    assert again.args == {"x": "1"}
    assert world.run(run.run_id).reruns == [again.run_id]
    assert world.run(run.run_id).state is State.SUCCESS


def test_running_again_as_then_takes_the_version_of_then(world: World) -> None:
    world.load({"a": {"program": {"type": "program", "argv": ["/bin/then"]}}})
    host = world.host()
    run = world.create("a")
    world.settle()
    host.finish(run.run_id, world.now)
    world.settle()
    world.load({"a": {"program": {"type": "program", "argv": ["/bin/now"]}}})
    then, now = (world.act(run.run_id, "rerun", as_=how) for how in ("then", "now"))
    assert isinstance(then, Done)
    assert isinstance(now, Done)
    assert then.result["run"]["program"]["argv"] == ["/bin/then"]
    assert now.result["run"]["program"]["argv"] == ["/bin/now"]


def test_what_cannot_be_asked_is_refused_with_a_word_of_what_to_do(world: World) -> None:
    world.load({"a": {"program": SHELL, "params": ["x"]}})
    world.host()
    for deed, code in [
        (CreateRun(job_id="b"), "not_found"),
        (CreateRun(job_id="a"), "bad_request"),
        (CreateRun(job_id="a", args={"x": "1", "y": "2"}), "bad_request"),
        (CreateRun(job_id="a", args={"x": "1"}, schedule_time="noon"), "bad_request"),
        (CreateRun(job_id="a", args={"x": "1"}, count=0), "bad_request"),
    ]:
        failed = world.ask(deed)
        assert isinstance(failed, Failed)
        assert failed.code == code
    for action, code in [("start", "not_found"), ("dance", "not_found")]:
        failed = world.act("r99", action)
        assert isinstance(failed, Failed)
        assert failed.code == code
    assert world.runs("a") == []


def test_a_run_whose_templates_do_not_fit_ends_in_error_with_the_reason(world: World) -> None:
    world.load({"a": {"program": {"type": "program", "argv": ["/bin/echo", "{{ nothing }}"]}}})
    world.host()
    run = world.create("a")
    assert run.state is State.ERROR
    assert "nothing" in run.reason


def test_finished_runs_are_forgotten_by_their_host_in_batches(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    runs = [world.create("a") for _ in range(3)]
    world.settle()
    for run in runs:
        host.finish(run.run_id, world.now)
    world.settle()
    assert host.forgotten == []
    world.advance(2)
    assert host.forgotten == [run.run_id for run in runs]
    assert not world.tables.commands


def test_a_clock_far_behind_starts_nothing(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    world.create("a")
    world.settle()
    world.now -= timedelta(hours=2)
    world.crash()
    run = world.create("a")
    world.advance(10)
    assert host.started == ["r1"]
    world.now += timedelta(hours=2)
    world.advance(1)
    assert run.run_id in host.started


def test_an_answer_that_comes_twice_changes_nothing(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    world.create("a")
    (name, message), *_ = world.outbox.due(0.0)
    assert name == "local"
    assert isinstance(message.items[0], Start)
    answers = [host.obey(message, world.now) for _ in range(3)]
    for answer in answers:
        world.step(HostSaid(answer))
    world.settle()
    assert host.started == ["r1"]
    assert world.run("r1").state is State.RUNNING


def test_numbers_given_to_commands_never_fall_below_the_floor_of_the_host(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    hello = HostHello(host="local", epoch="e1", boot="b1", seq=0, floor=41, version="1", cores=2)
    world.decide(HostSaid(hello))
    world.create("a")
    assert list(world.tables.commands) == [("local", 42)]


def test_a_program_that_ended_before_it_was_reported_as_started_has_its_start_all_the_same(world: World) -> None:
    world.load({"a": {"program": SHELL}})
    host = world.host()
    run = world.create("a")
    for name, commands in world.outbox.due(0.0):
        answer = world.hosts[name].obey(commands, world.now)
        host.reports.clear()
        host.seq = 0
        world.step(HostSaid(answer))
    host.finish(run.run_id, world.now + timedelta(seconds=1))
    world.settle()
    run = world.run(run.run_id)
    assert list(run.timestamps) == ["starting", "running", "success"]
    assert run.late_by == 1.0
    assert world.events(run.run_id) == ["starting", "success"]
