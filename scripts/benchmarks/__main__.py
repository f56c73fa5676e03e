"""`scripts/bench`: runs the measures and prints one table."""

import os
import platform
import sys

from benchmarks.measures import (
    IDLE_JOBS,
    TRUE,
    alone,
    baseline,
    c_loop,
    idle,
    lateness,
    many_jobs,
    middle,
    quantile,
    throughput,
)
from harness.installation import Installation

WORDS = ("throughput", "lateness", "idle")
RUNS = 500
SAME_SECOND = 100
ALONE = 8
IDLE_SECONDS = 20.0


def row(what: str, value: str, target: str = "") -> None:
    """Print one line of the table."""
    print(f"  {what:<58} {value:>16}   {target}", flush=True)


def measure_throughput(home: Installation) -> None:
    """Print runs a second beside the C loop, and where the CPU went."""
    with c_loop() as program:
        loop, loop_cpu = baseline(program, RUNS)
        row(f"C posix_spawn loop, {RUNS} /bin/true", f"{loop:.0f} runs/s", f"{loop_cpu * 1000:.2f} ms CPU a run")
        found = throughput(home, RUNS)
    row(f"{RUNS} /bin/true submitted at once", f"{found['runs/s']:.0f} runs/s")
    row("  ratio to the C loop", f"{found['runs/s'] / loop:.3f}", ">= 0.15")
    for name, used in found["cpu"].items():
        row(f"  CPU a run: {name}", f"{used:.2f} ms")
    row("  CPU a run: all", f"{sum(found['cpu'].values()):.2f} ms", "12 ms")


def measure_lateness(home: Installation) -> None:
    """Print how late programs start: many in one second, and one alone."""
    late = lateness(home, SAME_SECOND, "same-second")
    row(f"{SAME_SECOND} programs due in the same second: late, p50", f"{middle(late) * 1000:.0f} ms", "<= 200 ms")
    row(
        f"{SAME_SECOND} programs due in the same second: late, p99",
        f"{quantile(late, 0.99) * 1000:.0f} ms",
        "<= 500 ms",
    )
    single = alone(home, ALONE)
    row("one program, idle system: late, p50", f"{middle(single) * 1000:.1f} ms", "<= 15 ms")
    row("earliest of all", f"{min(*late, *single) * 1000:.1f} ms", "never early")


def measure_idle(home: Installation) -> None:
    """Print what the services use while nothing is due."""
    cpu, pss = idle(home, IDLE_SECONDS)
    for name in sorted(pss):
        row(f"idle, {IDLE_JOBS} jobs: {name}", f"{cpu.get(name, 0.0):.2f} % CPU", f"{pss[name] / 1e6:.1f} MB PSS")
    row("idle: all", f"{sum(cpu.values()):.2f} % CPU", f"{sum(pss.values()) / 1e6:.1f} MB PSS  (<= 1 %, <= 220 MB)")


def main(words: list[str]) -> None:
    """Run the measures that are named, or all."""
    unknown = set(words) - set(WORDS)
    if unknown:
        sys.exit(f"bench: unknown measure {', '.join(sorted(unknown))}; there are: {', '.join(WORDS)}")
    chosen = words or list(WORDS)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with Installation({"true": TRUE, "same-second": TRUE, "alone": TRUE}) as home:
        if "throughput" in chosen:
            measure_throughput(home)
        if "lateness" in chosen:
            measure_lateness(home)
    if "idle" in chosen:
        with Installation(many_jobs()) as home:
            measure_idle(home)


main(sys.argv[1:])
