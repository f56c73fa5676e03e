"""Nothing is lost, started twice or told wrongly under a storm of kills: `scripts/chaos` in a small form."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: a plan that hits every kind of process, and most of the named points
SEED = 1


def storm(*words: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run `scripts/chaos` and return what it said."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("APSIS_")}
    return subprocess.run(
        [sys.executable, "-m", "chaos_monkey", *words],
        env={**plain, "PYTHONPATH": str(ROOT / "scripts")},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.mark.timeout(400)
def test_300_runs_survive_30_kills() -> None:
    done = storm("--runs", "300", "--kills", "30", "--seed", str(SEED), seconds=380)

    assert done.returncode == 0, done.stdout
    print(done.stdout)


@pytest.mark.nightly
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_2000_runs_survive_100_kills(seed: int) -> None:
    done = storm("--runs", "2000", "--kills", "100", "--seed", str(seed), seconds=1400)

    assert done.returncode == 0, done.stdout


def test_a_wrong_word_is_refused_before_anything_starts() -> None:
    done = storm("--runs", "0", seconds=30)

    assert done.returncode != 0
    assert "--runs and --for must be above 0" in done.stdout
