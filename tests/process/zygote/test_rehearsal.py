"""A zygote rehearses before its first fork: that leaves no trace, and a zygote that cannot is a zygote all the same."""

from pathlib import Path

from apsis_services.supervisor.zygote.processes import all_stats


def umask(pid: int) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Umask:"))


def test_nothing_is_left_of_a_rehearsal_nor_of_one_that_was_cut_short(host):
    left = host.run_dir / "rehearsal-1" / "runs" / "0000000000000000-rehearsal3"
    left.mkdir(parents=True)
    (left / "output").write_text("")
    (host.run_dir / "rehearsal-1" / "outside").symlink_to(host.spool)
    zygote = host.zygote()
    assert not (host.run_dir / "rehearsal-1").exists()
    assert [path.name for path in host.spool.rglob("*/*")] == []
    assert not [stat for stat in all_stats() if stat.ppid == zygote]
    assert umask(zygote) == "0027"
    assert "rehearsal" not in host.log.read_text()


def test_a_zygote_that_cannot_rehearse_says_so_and_works(host):
    (host.run_dir / "rehearsal-1").write_text("a file, where a folder is wanted")
    assert host.ran("r1", "sh", "-c", "exit 4").result["code"] == 4
    assert "event=rehearsal_failed" in host.log.read_text()
