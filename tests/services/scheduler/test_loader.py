"""The loader process: whatever becomes of who asked it, it ends without a word."""

import subprocess
import sys
from pathlib import Path


def test_a_loader_whose_scheduler_was_killed_ends_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("program: {type: no-op}\n")
    loader = subprocess.Popen(
        [sys.executable, "-m", "apsis_services.scheduler.loader", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert loader.stdin
    assert loader.stdout
    loader.stdout.close()  # as when the scheduler is gone
    loader.stdin.write(b"{}")
    loader.stdin.close()

    assert loader.stderr
    assert loader.stderr.read() == b""
    assert loader.wait(timeout=30) == 1
    loader.stderr.close()
