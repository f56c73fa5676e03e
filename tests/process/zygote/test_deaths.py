"""What is killed loses nothing: shims, zygotes, both; and nothing is ever started twice."""

import asyncio
import os
import signal
import socket
import sys
import time

import pytest

from apsis_services.supervisor.zygote.client import ZygoteClient, ZygoteError
from apsis_services.supervisor.zygote.files import is_alive
from apsis_services.supervisor.zygote.identity import Identity
from apsis_services.supervisor.zygote.journal import journal_path, read_journal
from apsis_services.supervisor.zygote.journal_file import revoke
from apsis_services.supervisor.zygote.processes import all_stats
from apsis_services.supervisor.zygote.request import settle


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_shim(host, run_id: str) -> None:
    kill(host.state(run_id).claim["pid"])


def adopted(host, run_id: str):
    return host.wait(lambda: (s := host.state(run_id)).adopted and s, f"{run_id} adopted")


def test_the_status_of_a_program_whose_shim_was_killed_is_recorded(host):
    os.mkfifo(host.root / "fifo")
    host.start("r1", "sh", "-c", "echo up; read line < fifo; exit 7", cwd=str(host.root))
    host.printed("r1")
    kill_shim(host, "r1")
    state = adopted(host, "r1")
    assert state.holder.pid == host.zygote()
    assert (state.phase, state.locked) == ("started", True)
    (host.root / "fifo").write_text("go\n")
    state = host.done("r1")
    assert (state.result["code"], state.result["error"], state.result["killed_by"]) == (7, "", "")
    assert state.result["rusage"]["maxrss"] > 0
    assert state.done["outputs"] == {"output": 3}
    host.wait(lambda: not host.state("r1").locked, "the zygote lets go of it")


def test_an_adopted_program_is_stopped_by_the_zygote_with_all_that_descends_from_it(host):
    hop = "trap '' TERM; echo up; (setsid sh -c 'trap \"\" TERM; sleep 60' &); sleep 60"
    host.start("r1", "sh", "-c", hop)
    host.printed("r1")
    kill_shim(host, "r1")
    adopted(host, "r1")
    host.stop("r1", grace=0.3)
    state = host.done("r1")
    assert (state.result["signal"], state.result["killed_by"], state.result["stopped"]) == (9, "stop by ann", True)
    assert state.done["leftovers"] == 0
    assert host.tagged() == []


def test_a_stop_that_the_killed_shim_had_taken_is_finished(host):
    host.start("r1", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    host.printed("r1")
    host.stop("r1", grace=0.6)
    kill_shim(host, "r1")
    result = host.done("r1", 10).result
    assert (result["signal"], result["killed_by"]) == (signal.SIGKILL, "stop by ann")


def test_a_timeout_outlives_the_shim(host):
    host.start("r1", "sleep", "60", timeout={"duration": 0.6, "signal": 15})
    host.started("r1")
    kill_shim(host, "r1")
    assert host.done("r1", 10).result["killed_by"] == "timeout 0.6s"


def test_leftovers_of_a_run_whose_shim_died_after_the_result_are_ended(host):
    host.start("r1", "sh", "-c", "(trap '' TERM; echo up; exec setsid sleep 60) & sleep 0.3; exit 4")
    host.wait(lambda: host.state("r1").result, "result")
    kill_shim(host, "r1")
    state = host.done("r1", 10)
    assert state.adopted
    assert (state.result["code"], state.done["leftovers"]) == (4, 0)
    assert host.tagged() == []


def test_shims_killed_at_any_moment_lose_no_status_and_invent_none(host):
    """The storm: every second shim is killed as soon as it is seen, wherever it is just then."""
    count = 60
    zygote = host.zygote()
    script = 'sleep 0.02; echo x > "$0/ran-$APSIS_RUN_ID"; exit 9'

    async def storm() -> None:
        starts = [
            asyncio.ensure_future(host.client.start(host.request(f"r{i}", "sh", "-c", script, str(host.root))))
            for i in range(count)
        ]
        victims: set[int] = set()
        while not all(start.done() for start in starts):
            for i in range(0, count, 2):
                claim = host.state(f"r{i}").claim
                if claim and claim["pid"] not in victims:
                    victims.add(claim["pid"])
                    os.kill(claim["pid"], signal.SIGKILL)
            await asyncio.sleep(0.001)
        await asyncio.gather(*starts)

    host.go(storm())
    told = {"status": 0, "never": 0, "unknown": 0}
    for i in range(count):
        result = host.done(f"r{i}").result
        ran = (host.root / f"ran-r{i}").exists()
        if result["code"] == 9:
            assert ran
            told["status"] += 1
        elif "before it had started" in result["error"]:
            assert not ran, "it was said never to have started"
            told["never"] += 1
        else:
            assert "exit status unknown" in result["error"], result
            told["unknown"] += 1
    assert told["status"] >= count // 2
    assert host.zygote() == zygote


def test_shims_go_on_and_finish_when_their_zygote_is_killed(host):
    os.mkfifo(host.root / "fifo")
    host.start("r1", "sh", "-c", "echo up; read line < fifo; exit 7", cwd=str(host.root))
    host.printed("r1")
    zygote = host.zygote()
    kill(zygote)
    host.wait(lambda: not is_alive(str(host.run_dir), 1), "its lock is free")
    assert host.start("r2", "true") == "claimed"
    assert host.zygote() != zygote
    assert host.done("r2").result["code"] == 0
    assert host.state("r1").locked
    (host.root / "fifo").write_text("go\n")
    assert host.done("r1").result["code"] == 7


def test_starts_that_a_killed_zygote_owes_are_asked_again_and_run_once(host):
    script = f"echo x >> {host.root}/runs"

    async def all_of_them() -> list[str]:
        await host.client.ensure()
        starts = [
            asyncio.ensure_future(host.client.start(host.request(f"r{i}", "sh", "-c", script))) for i in range(60)
        ]
        await asyncio.sleep(0.01)
        pid = host.client.zygote_pid
        assert pid is not None
        kill(pid)
        return await asyncio.gather(*starts)

    answers = host.go(all_of_them())
    assert set(answers) <= {"claimed", "exists"}
    for i in range(60):
        assert host.done(f"r{i}").result["code"] == 0
    assert (host.root / "runs").read_text() == "x\n" * 60


def test_when_shim_and_zygote_are_killed_the_journal_says_started_and_nobody_holds_it(host):
    host.start("r1", "sleep", "60")
    state = host.started("r1")
    zygote = host.zygote()
    os.kill(zygote, signal.SIGSTOP)
    kill_shim(host, "r1")
    kill(zygote)
    host.wait(lambda: not host.state("r1").locked, "the lock is free")
    state = host.state("r1")
    assert (state.phase, state.result, state.adopted) == ("started", None, None)
    assert host.lives(state.pid)


def test_a_thousand_starts_of_one_run_by_two_zygotes_start_it_once(host):
    other = host.connect(generation=2)
    request = host.request("r1", "sh", "-c", f"echo x >> {host.root}/runs")

    async def all_of_them() -> list[str]:
        await asyncio.gather(host.client.ensure(), other.ensure())
        assert host.client.zygote_pid != other.zygote_pid
        return await asyncio.gather(*((host.client, other)[i % 2].start(request) for i in range(1000)))

    answers = host.go(all_of_them())
    assert answers.count("claimed") == 1
    assert answers.count("exists") == 999
    host.done("r1")
    assert (host.root / "runs").read_text() == "x\n"
    assert os.listdir(host.spool / "journals") == ["0000000000000007-r1.j"]


def test_a_revoked_run_is_never_started(host):
    assert revoke(host.spool, 7, "r1", dispatch=3, by="ann", at="2026-01-01T00:00:00.000000Z")
    assert host.start("r1", "touch", str(host.root / "ran")) == "exists"
    state = host.state("r1")
    assert (state.phase, state.locked, state.revoked["dispatch"]) == ("revoked", False, 3)
    assert not (host.root / "ran").exists()


def test_a_run_that_was_started_cannot_be_revoked(host):
    host.ran("r1", "true")
    assert not revoke(host.spool, 7, "r1", dispatch=3, by="ann", at="2026-01-01T00:00:00.000000Z")


def test_an_archived_run_is_not_started_again(host):
    host.ran("r1", "true")
    path = journal_path(host.spool, 7, "r1")
    os.rename(path, path.replace("/journals/", "/archive/"))
    assert host.start("r1", "true") == "exists"


def test_a_start_that_cannot_be_is_settled_in_one_write(host):
    me = Identity(os.getpid(), 1)
    request = host.request("r1", "true")
    assert settle(host.spool, request, "too long", who=me, boot="b", at="2026-01-01T00:00:00.000000Z")
    state = host.state("r1")
    assert (state.phase, state.result["error"], state.claim["job_id"]) == ("done", "too long", "job")
    assert not settle(host.spool, request, "again", who=me, boot="b", at="2026-01-01T00:00:00.000000Z")


def test_nothing_is_claimed_where_the_journal_cannot_be_made(host):
    host.zygote()
    os.rename(host.spool / "journals", host.spool / "away")
    with pytest.raises(ZygoteError, match="journal cannot be made"):
        host.start("r1", "true")
    os.rename(host.spool / "away", host.spool / "journals")
    assert host.start("r1", "true") == "claimed"


def test_a_retired_zygote_starts_nothing_and_ends_with_its_last_run(host):
    os.mkfifo(host.root / "fifo")
    host.start("r1", "sh", "-c", "echo up; read line < fifo; exit 7", cwd=str(host.root))
    host.printed("r1")
    first = host.zygote()
    os.kill(first, signal.SIGTERM)
    host.wait(lambda: "zygote_retires" in host.log.read_text(), "logged")
    assert host.start("r2", "true") == "claimed"
    assert host.done("r2").result["code"] == 0
    assert (host.zygote() != first, host.client.generation) == (True, 2)
    assert host.lives(first), "it keeps its run"
    (host.root / "fifo").write_text("go\n")
    assert host.done("r1").result["code"] == 7
    host.wait(lambda: not host.lives(first), "it has ended")


def test_a_zygote_with_nothing_to_keep_ends_at_once_on_sigterm(host):
    pid = host.zygote()
    os.kill(pid, signal.SIGTERM)
    host.wait(lambda: not host.lives(pid), "it has ended")


def test_an_idle_zygote_ends_when_nobody_has_been_connected_for_a_while(host):
    client = host.connect(generation=5, idle=0.3)
    host.go(client.ensure())
    pid = client.zygote_pid
    time.sleep(0.6)
    assert host.lives(pid), "somebody is connected"
    host.go(client.close())
    host.wait(lambda: not host.lives(pid), "it has ended")
    assert not (host.run_dir / "zygote-5.sock").exists()


def test_a_new_client_finds_the_zygote_that_lives(host):
    pid = host.zygote()
    host.go(host.client.close())
    other = host.connect(generation=None)
    host.go(other.ensure())
    assert (other.zygote_pid, other.generation) == (pid, 1)


def test_a_zygote_of_another_version_is_retired_and_the_next_generation_is_used(host):
    host.start("r1", "sleep", "60")
    host.started("r1")
    old = host.zygote()
    newer = host.connect(generation=None)
    newer.version = "newer"
    host.go(newer.ensure())
    assert newer.generation == 2
    assert newer.zygote_pid != old
    assert host.lives(old)
    kill_shim(host, "r1")
    adopted(host, "r1")
    host.stop("r1")
    assert host.done("r1").result["stopped"]
    host.wait(lambda: not host.lives(old), "it has ended with its last run")


def test_a_zygote_that_is_silent_is_given_up(host, monkeypatch):
    import apsis_services.supervisor.zygote.client as module

    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.5)
    pid = host.zygote()
    os.kill(pid, signal.SIGSTOP)
    try:
        assert host.start("r1", "true") == "claimed"
        assert host.client.generation == 2
        assert host.done("r1").result["code"] == 0
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_zygote_outlives_the_process_that_started_it(host):
    script = (
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from apsis_services.supervisor.zygote.client import ZygoteClient\n"
        "async def main():\n"
        f"    client = ZygoteClient(Path({str(host.spool)!r}), Path({str(host.run_dir)!r}), 1)\n"
        "    await client.ensure()\n"
        "    print(client.zygote_pid)\n"
        "asyncio.run(main())\n"
    )
    import subprocess

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert host.zygote() == int(ended.stdout)
    assert os.getsid(host.zygote()) == host.zygote()


def test_no_zombie_stays_and_no_claim_half_made(host):
    for i in range(20):
        host.start(f"r{i}", "true")
    for i in range(20):
        host.done(f"r{i}")
    zygote = host.zygote()

    def children() -> list[int]:
        return [stat.pid for stat in all_stats() if stat.ppid == zygote]

    host.wait(lambda: children() == [], "all shims are reaped")
    assert not [name for name in os.listdir(host.spool / "journals") if not name.endswith(".j")]


def test_the_socket_works_below_a_very_long_path(host, tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 60)
    for folder in ("run", "log", "spool/journals", "spool/runs", "spool/archive"):
        (deep / folder).mkdir(parents=True)
    (deep / "spool" / "epoch").write_text(host.epoch)

    async def go() -> str:
        client = ZygoteClient(deep / "spool", deep / "run", 1, idle=0.1)
        answer = await client.start(host.request("r1", "true"))
        await client.close()
        while is_alive(str(deep / "run"), 1):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        return answer

    assert host.go(go()) == "claimed"
    assert read_journal(journal_path(deep / "spool", 7, "r1")).phase == "done"


def test_one_who_talks_nonsense_is_let_go_and_harms_nobody(host):
    pid = host.zygote()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(str(host.run_dir / "zygote-1.sock"))
        sock.send(b'{"do": "start", "id": 1, "key": "../../etc"}')
        assert sock.recv(100) == b""
    assert host.start("r1", "true") == "claimed"
    assert host.zygote() == pid
