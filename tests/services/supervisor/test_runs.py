"""From a command to the report of its end, with a real hub, a real zygote and real programs."""

import msgspec

from apsis.messages.dispatch import Finished, Forget, Started


def test_a_run_reports_its_exit_status_its_usage_and_its_output(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sh", "-c", "echo hello; exit 3")
        (end,) = await s.ended("r1")
        assert end.exit.code == 3
        assert end.outputs == {"output": 6}
        assert end.rusage.maxrss > 100_000
        assert end.elapsed > 0
        await s.until(lambda: s.store.final.get("r1") == {"output": 6}, "output complete")
        assert s.store.of("r1") == b"hello\n"

    scene.run(body)


def test_a_run_is_started_once_though_the_command_comes_a_hundred_times(scene):
    async def body(s) -> None:
        marks = s.root / "marks"
        dispatch = s.scheduler.start("r1", "/bin/sh", "-c", f"echo x >> {marks}; sleep 0.5")
        await s.until(lambda: s.scheduler.binding, "hello")
        for _ in range(100):
            s.scheduler.peer.send("supervisor/local", s.scheduler.commands([s.scheduler.orders[dispatch]]))
        await s.ended("r1")
        for _ in range(100):
            s.scheduler.peer.send("supervisor/local", s.scheduler.commands([s.scheduler.orders[dispatch]]))
        s.scheduler.start("r2", "/bin/true")
        await s.ended("r2")
        assert marks.read_text() == "x\n"
        assert [type(report) for report in s.scheduler.of("r1")] == [Started, Finished]

    scene.run(body)


def test_two_streams_are_kept_apart_and_an_empty_output_sends_nothing(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/sh", "-c", "echo out; echo err >&2", streams="split")
        s.scheduler.start("r2", "/bin/true")
        ends = await s.ended("r1", "r2")
        assert [end.outputs for end in ends] == [{"stdout": 4, "stderr": 4}, {"output": 0}]
        await s.until(lambda: "r1" in s.store.final)
        assert (s.store.of("r1", "stdout"), s.store.of("r1", "stderr")) == (b"out\n", b"err\n")
        assert "r2" not in s.store.final
        assert all(run_id != "r2" for run_id, _ in s.store.bytes)

    scene.run(body)


def test_a_program_gets_a_clean_environment_with_its_run_named(scene):
    async def body(s) -> None:
        s.scheduler.start(
            "r1", "/usr/bin/env", args={"Report-Date": "2026-01-02"}, env={"EXTRA": "1", "LANG": None},
        )  # fmt: skip
        await s.ended("r1")
        await s.until(lambda: "r1" in s.store.final)
        found = dict(line.split("=", 1) for line in s.store.of("r1").decode().splitlines())
        assert found.keys() == {
            "APSIS_HOME", "PATH", "HOME", "USER", "LOGNAME", "SHELL", "EXTRA",
            "APSIS_RUN_ID", "APSIS_JOB_ID", "APSIS_SCHEDULE_TIME", "APSIS_SPOOL", "APSIS_JOURNAL",
            "APSIS_ARG_REPORT_DATE",
        } | (found.keys() & {"TZ", "LC_ALL"})  # fmt: skip
        assert found["APSIS_RUN_ID"] == "r1"
        assert found["APSIS_SPOOL"] == s.epoch
        assert found["APSIS_HOME"] == str(s.root)
        assert found["APSIS_ARG_REPORT_DATE"] == "2026-01-02"

    scene.run(body)


def test_a_program_that_cannot_be_started_ends_with_the_reason(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/no/such/program")
        s.scheduler.start("r2", "/bin/true", cwd="/no/such/folder")
        s.scheduler.start("r3", "/bin/echo", "x" * 200_000)
        ends = await s.ended("r1", "r2", "r3")
        assert [end.start for end in ends] == [None, None, None]
        assert "/no/such/program" in ends[0].exit.error
        assert "/no/such/folder" in ends[1].exit.error
        assert "argument 1" in ends[2].exit.error

    scene.run(body)


def test_a_start_for_another_spool_or_boot_is_unknown_and_a_different_one_a_conflict(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/true")
        await s.ended("r1")
        epoch, boot = s.scheduler.binding
        for wrong in (("0000", boot), (epoch, "0000")):
            s.scheduler.binding = wrong
            dispatch = s.scheduler.start("r2", "/bin/true")
            await s.until(lambda d=dispatch: d in s.scheduler.answers)
            assert s.scheduler.answers[dispatch].state == "unknown"
        s.scheduler.binding = (epoch, boot)
        dispatch = s.scheduler.start("r1", "/bin/true", args={"other": "1"})
        await s.until(lambda: dispatch in s.scheduler.answers)
        assert s.scheduler.answers[dispatch].state == "conflict"
        assert s.scheduler.of("r2") == []

    scene.run(body)


def test_a_forgotten_run_leaves_nothing_but_its_archived_journal(scene):
    async def body(s) -> None:
        s.scheduler.start("r1", "/bin/echo", "kept")
        first = s.scheduler.start("r2", "/bin/true")
        await s.ended("r1", "r2")
        s.scheduler.order(lambda d: Forget(dispatch=d, run_ids=["r1", "r2"]))
        await s.until(lambda: not list((s.home.spool / "runs").iterdir()), "folders gone")
        assert list((s.home.spool / "journals").iterdir()) == []
        assert len(list((s.home.spool / "archive").iterdir())) == 2
        assert s.store.of("r1") == b"kept\n"
        again = s.scheduler.order(lambda d: msgspec.structs.replace(s.scheduler.orders[first], dispatch=d))
        await s.until(lambda: again in s.scheduler.answers)
        assert s.scheduler.answers[again].state == "settled"

    scene.run(body)


def test_what_the_store_has_not_got_keeps_its_folder(scene):
    async def body(s) -> None:
        s.store.mute = True
        s.scheduler.start("r1", "/bin/echo", "late")
        await s.ended("r1")
        forget = s.scheduler.order(lambda d: Forget(dispatch=d, run_ids=["r1"]))
        await s.until(lambda: forget in s.scheduler.answers)
        s.kill("supervisor")
        s.begin("supervisor")
        s.store.mute = False
        await s.until(lambda: not list((s.home.spool / "runs").iterdir()), "folder gone")
        assert s.store.of("r1") == b"late\n"

    scene.run(body)
