"""Clear files older than a minute out of the scratch folder of a (pretended) host, and leave a new one there."""

import os
import re
import sys
import time
from pathlib import Path

MAX_AGE = 60.0


def main(host: str) -> None:
    """Remove what is old; say what was freed."""
    if not re.fullmatch(r"[a-z0-9-]+", host):
        sys.exit(f"{host!r} is no name of a host")
    folder = Path(os.environ["APSIS_HOME"]) / "demo-data" / "hosts" / host / "scratch"
    folder.mkdir(parents=True, exist_ok=True)
    now, removed, freed = time.time(), 0, 0
    for path in folder.iterdir():
        facts = path.stat()
        if now - facts.st_mtime > MAX_AGE:
            path.unlink()
            removed, freed = removed + 1, freed + facts.st_size
    (folder / f"session-{time.time_ns()}").write_text("x" * 512)
    print(f"{host}: removed {removed} files ({freed} bytes), {len(list(folder.iterdir()))} are left")


if __name__ == "__main__":
    main(sys.argv[1])
