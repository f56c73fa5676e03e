"""Rotate a log: FILE becomes FILE.1.gz, that becomes FILE.2.gz, and so on. Environment: MAX_BYTES, KEEP."""

import gzip
import os
import shutil
import sys
from pathlib import Path


def main(log: Path, max_bytes: int, keep: int) -> None:
    """Rotate a log that has grown larger than `max_bytes`; keep the last `keep`."""
    size = log.stat().st_size if log.exists() else 0
    if size <= max_bytes:
        print(f"{log.name} has {size} bytes; it is rotated above {max_bytes}")
        return
    for number in range(keep, 0, -1):
        older, newer = _numbered(log, number), _numbered(log, number - 1)
        if number > 1 and newer.exists():
            newer.replace(older)
    # Renamed first: lines written meanwhile go to a new file, and none is lost.
    moved = log.with_name(f"{log.name}.rotating")
    log.replace(moved)
    with moved.open("rb") as source, gzip.open(_numbered(log, 1), "wb") as target:
        shutil.copyfileobj(source, target)
    moved.unlink()
    kept = [path.name for path in sorted(log.parent.glob(f"{log.name}.*.gz"))]
    print(f"rotated {log.name} ({size} bytes); kept: {', '.join(kept)}")


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}.gz")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(os.environ["MAX_BYTES"]), int(os.environ["KEEP"]))
