"""`jobs_dir`: a function that writes files into a job directory and loads it."""

import pytest

from apsis.jobs import load_jobs


@pytest.fixture
def jobs_dir(tmp_path):
    """Return a function from files (path: text or bytes) to what is loaded; `jobs_dir.path` is the directory."""
    root = tmp_path / "jobs"
    root.mkdir()

    def load(files=None, **options):
        for name, content in (files or {}).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_jobs(root, **options)

    load.path = root
    return load
