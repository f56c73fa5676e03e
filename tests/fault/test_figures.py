"""What a run uses is seen while it runs, and kept with it through kills."""

from harness.installation import Installation, until

JOBS = {
    "family": """
program:
  type: shell
  command: |
    python3 -c 'import time; data = bytearray(30_000_000); time.sleep(9)' &
    dd if=/dev/zero of="$APSIS_HOME/written" bs=1M count=8 conv=fsync status=none
    wait
"""
}


def test_a_run_shows_its_processes_and_keeps_its_series_through_kills() -> None:
    with Installation(JOBS) as home:
        (run,) = home.make("family")
        run_id = run["run_id"]
        until(lambda: len(home.call("GET", f"/runs/{run_id}/processes")["processes"]) == 2, 20, "the tree")

        live = home.call("GET", f"/runs/{run_id}/processes")
        assert live["live"] is True
        tree = [(process["depth"], process["name"][:6]) for process in live["processes"]]
        assert tree == [(0, "bash"), (1, "python")]
        assert live["rss"] > 30_000_000
        assert live["threads"] == 2

        until(lambda: len(home.call("GET", f"/runs/{run_id}/samples")["samples"]) >= 1, 20, "a point of the series")
        before = home.call("GET", f"/runs/{run_id}/samples")["samples"]
        home.kill("supervisor")
        home.kill("store")
        until(lambda: home.run(run_id)["state"] == "success", 40, "its end")
        until(lambda: len(home.call("GET", f"/runs/{run_id}/samples")["samples"]) > len(before), 20, "the series")

        kept = home.call("GET", f"/runs/{run_id}/samples")["samples"]
        assert kept[: len(before)] == before
        assert max(point["rss"] for point in kept) > 30_000_000
        assert max(point["processes"] for point in kept) >= 2
        assert home.call("GET", f"/runs/{run_id}/processes") == {
            "run_id": run_id, "live": False, "host": "local", "processes": [],
        }  # fmt: skip
        # the figures are no output of the program
        assert home.run(run_id)["outputs"] == {"output": 0}
        assert "samples" not in home.call("GET", f"/runs/{run_id}/outputs")["outputs"]
