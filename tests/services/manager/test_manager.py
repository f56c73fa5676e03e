"""The manager keeps all services alive, whatever is killed, and touches no running program."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from installation_stage import processes_of, until

from apsis.manager_socket import ManagerAway, ask, holder

SERVICES = ("hub", "scheduler", "store", "supervisor", "web", "alerts", "manager")


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)


def test_all_services_come_up_and_stop_and_nothing_is_left(installation):
    said = installation.start()
    now = installation.status()
    assert now["state"] == "ok"
    assert now["home"] == str(installation.home.root)
    assert now["url"] in said
    assert [service["name"] for service in now["services"]] == [
        "hub",
        "scheduler",
        "store",
        "supervisor",
        "web",
        "alerts",
    ]
    for service in now["services"]:
        assert service.keys() >= {"name", "pid", "state", "since", "restarts", "rss"}
        assert (service["state"], service["restarts"]) == ("running", 0)
        assert service["rss"] > 1_000_000
    # the web learns the number of the database with its first snapshot, right after it is ready
    shown = until(
        lambda: (one := json.loads(installation.good("apsisctl", "status", "-o", "json")))["instance"] and one
    )
    assert shown["url"] == now["url"]
    assert len(shown["instance"]) == 16
    installation.good("apsisctl", "stop", "--kill-runs")
    assert installation.ctl("status").returncode == 3
    assert until(lambda: not processes_of(installation.home))


@pytest.mark.parametrize("name", ["hub", "scheduler", "store", "supervisor", "web", "alerts"])
def test_a_service_that_is_killed_is_started_again_at_once(installation, name):
    installation.start()
    before = installation.pids()
    kill(before[name])
    after = until(
        lambda: (one := installation.service(name))["state"] == "running" and one["pid"] != before[name] and one
    )
    assert after["restarts"] == 1
    assert {n: pid for n, pid in installation.pids().items() if n != name} == {
        n: pid for n, pid in before.items() if n != name
    }
    assert installation.status()["state"] == "ok"


def test_a_manager_that_is_killed_is_followed_by_one_that_adopts_what_runs(installation):
    installation.start()
    before = installation.pids()
    kill(installation.status()["pid"])
    until(lambda: holder(installation.home, "manager") is None)
    down = installation.ctl("status")
    assert down.returncode == 1
    assert "apsisctl start" in down.stdout
    installation.good("apsisctl", "start")
    assert installation.pids() == before
    kill(before["web"])
    until(lambda: (one := installation.service("web"))["state"] == "running" and one["pid"] != before["web"])
    installation.good("apsisctl", "stop")
    assert all(not os.path.exists(f"/proc/{pid}/exe") for pid in before.values())


def test_starting_twice_says_that_it_runs_and_succeeds(installation):
    installation.start()
    before = installation.pids()
    again = installation.ctl("start")
    assert again.returncode == 0
    assert "runs already" in again.stderr
    assert installation.pids() == before
    second = subprocess.run(
        [sys.executable, "-m", "apsis_services.manager", "--home", str(installation.home.root)],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert second.returncode == 75
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_said_with_what_to_do_and_nothing_is_left_running(installation):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = installation.ctl("start", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert "port" in result.stderr
    assert "in use" in result.stderr
    assert "Traceback" not in result.stderr
    assert not [name for name in SERVICES if holder(installation.home, name)]


def test_a_service_that_cannot_start_is_shown_with_its_last_words_and_tried_again(installation):
    installation.home.config.write_text("web: {port: 0}\nlog: {level: info}\n")
    installation.start()
    installation.home.config.write_text("wbe: {port: 0}\n")
    kill(installation.service("web")["pid"])
    failed = until(lambda: (one := installation.service("web"))["state"] == "failed" and one)
    assert "wbe" in failed["error"]
    assert failed["log"]
    assert installation.status()["state"] == "degraded"
    shown = installation.ctl("status")
    assert shown.returncode == 1
    assert "wbe" in shown.stdout
    installation.home.config.write_text("web: {port: 0}\n")
    assert "running" in installation.good("apsisctl", "restart", "web")


def test_a_database_of_a_newer_version_is_refused_with_one_clear_message(installation):
    import sqlite3

    installation.start()
    installation.good("apsisctl", "stop")
    database = sqlite3.connect(installation.home.database)
    database.execute("PRAGMA user_version = 999")
    database.commit()
    database.close()
    result = installation.ctl("start")
    assert result.returncode == 1
    assert "has schema 999" in result.stderr
    assert "Traceback" not in result.stderr


def test_running_programs_outlive_a_stop_a_restart_and_the_manager(installation, tmp_path):
    marks = tmp_path / "marks"
    installation.start()
    line = f"for i in $(seq 60); do echo $i >> {marks}; test -e {marks}.end && exit 7; sleep 0.1; done"
    run_id = installation.good("apsis", "exec", "-o", "ids", "--shell", "--", line).strip()
    until(lambda: marks.exists())
    stopped = installation.ctl("stop")
    assert stopped.returncode == 0
    assert "1 run goes on" in stopped.stderr
    lines = len(marks.read_text().splitlines())
    until(lambda: len(marks.read_text().splitlines()) > lines + 2)
    installation.good("apsisctl", "start")
    installation.good("apsisctl", "restart")
    (tmp_path / "marks.end").touch()
    assert installation.apsis("wait", run_id, "--exit-code").returncode == 7
    assert len(set(marks.read_text().splitlines())) == len(marks.read_text().splitlines()), "it ran once"


def test_kill_runs_ends_even_a_program_that_ignores_its_signal(installation):
    installation.start()
    line = 'trap "" TERM; (trap "" TERM; sleep 300) & while :; do sleep 0.1; done'
    run_id = installation.good("apsis", "exec", "-o", "ids", "--shell", "--", line).strip()
    until(lambda: installation.run_json(run_id)["state"] == "running")
    result = installation.ctl("stop", "--kill-runs", "--timeout", "1")
    assert result.returncode == 0, result.stderr
    assert until(lambda: not processes_of(installation.home))
    installation.good("apsisctl", "start")
    ended = until(lambda: (run := installation.run_json(run_id))["state"] in ("failure", "error", "success") and run)
    assert ended["exit"]["signal"] == 9


def test_what_outlived_its_manager_is_stopped_too_and_its_runs_if_told_so(installation):
    installation.start()
    run_id = installation.good("apsis", "exec", "-o", "ids", "--", "sleep", "300").strip()
    until(lambda: installation.run_json(run_id)["state"] == "running")
    kill(installation.status()["pid"])
    until(lambda: holder(installation.home, "manager") is None)
    installation.good("apsisctl", "stop")
    assert not [name for name in SERVICES if holder(installation.home, name)]
    assert any("sleep 300" in line for line in processes_of(installation.home).values())
    installation.good("apsisctl", "stop", "--kill-runs")
    assert until(lambda: not processes_of(installation.home))


def test_restart_of_all_keeps_the_manager_s_process_and_renews_the_services(installation):
    installation.start()
    before, manager = installation.pids(), installation.status()["pid"]
    installation.good("apsisctl", "restart")
    assert installation.status()["pid"] == manager, "what systemd started is still there"
    assert not set(before.values()) & set(installation.pids().values())


def test_every_service_and_the_manager_answer_sigterm_in_time(installation):
    installation.start()
    began = time.monotonic()
    kill(installation.status()["pid"], signal.SIGTERM)
    until(lambda: holder(installation.home, "manager") is None)
    assert time.monotonic() - began < 5 * 5
    assert until(lambda: all(holder(installation.home, name) is None for name in ("hub", "scheduler", "web")))
    logs = "".join(path.read_text() for path in installation.home.log.glob("*.log"))
    assert "Traceback" not in logs


def test_in_the_foreground_it_tells_systemd_and_ends_at_ctrl_c(installation, tmp_path):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(20)
        environ = installation.environ | {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
        command = installation.command("apsisctl", "start", "--foreground", "--port", "0")
        process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        words = []
        while not any(word.startswith("READY=1") for word in words):
            words.append(notify.recv(4096).decode())
        assert words.count("WATCHDOG=1") >= 1
        assert installation.status()["state"] == "ok"
        assert installation.status()["pid"] == process.pid
        process.send_signal(signal.SIGINT)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"Traceback" not in log
    assert holder(installation.home, "hub") is None


def test_an_idle_manager_does_not_wake_up(installation):
    installation.start()
    pid = installation.status()["pid"]

    def switches():
        with open(f"/proc/{pid}/status") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))

    time.sleep(0.3)
    before = switches()
    time.sleep(1.5)
    assert switches() - before <= 2


def test_a_request_that_is_no_request_is_refused_and_harms_nothing(installation):
    installation.start()
    for request in ({"do": "dance"}, {}, {"do": "restart", "service": "weeb"}):
        with pytest.raises(Exception, match=r"know|service") as refused:
            ask(installation.home, request)
        assert not isinstance(refused.value, ManagerAway)
    assert installation.status()["state"] == "ok"


def test_a_log_that_has_grown_large_is_put_aside_at_the_start(installation):
    log = installation.home.service_log("web")
    log.write_bytes(b"x" * (11 * 1024 * 1024))
    installation.start()
    assert log.stat().st_size < 100_000
    assert log.with_name("web.log.1").stat().st_size == 11 * 1024 * 1024
