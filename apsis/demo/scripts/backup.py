"""Back up the jobs, scripts, data and configuration of an Apsis home, and verify the archive file by file."""

import argparse
import hashlib
import os
import sys
import tarfile
import time
from pathlib import Path

PARTS = ("jobs", "scripts", "data", "apsis.yaml")


def main() -> int:
    """Make an archive, verify it, and remove all but the newest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=int, default=5, help="archives to keep (5)")
    keep = parser.parse_args().keep
    home = Path(os.environ["APSIS_HOME"])
    folder = home / "demo-data" / "backups"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"home-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.tar.gz"
    partial = archive.with_suffix(".part")
    sums = write(home, partial)
    print(f"wrote {len(sums)} files, {partial.stat().st_size} bytes")
    bad = differing(partial, sums)
    if bad:
        print(f"not what was written: {', '.join(bad)}", file=sys.stderr)
        partial.unlink()
        return 1
    partial.replace(archive)
    print(f"verified {len(sums)} checksums: {archive.name}")
    for old in sorted(folder.glob("home-*.tar.gz"))[:-keep]:
        old.unlink()
        print(f"removed {old.name}")
    return 0


def write(home: Path, target: Path) -> dict[str, str]:
    """Write the archive, and return the checksum of each file as it was read for it."""
    sums: dict[str, str] = {}
    files = [path for part in PARTS for path in (sorted((home / part).rglob("*")) or [home / part]) if path.is_file()]
    with tarfile.open(target, "w:gz") as archive:
        for path in files:
            name = str(path.relative_to(home))
            sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            archive.add(path, arcname=name, recursive=False)
    return sums


def differing(archive: Path, sums: dict[str, str]) -> list[str]:
    """Return the names whose content in the archive has not the checksum that it should have."""
    found: dict[str, str] = {}
    with tarfile.open(archive, "r:gz") as opened:
        for member in opened:
            content = opened.extractfile(member)
            found[member.name] = hashlib.sha256(content.read()).hexdigest() if content else ""
    return sorted(name for name in {*sums, *found} if sums.get(name) != found.get(name))


if __name__ == "__main__":
    sys.exit(main())
