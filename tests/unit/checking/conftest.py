"""A job directory made of texts, checked at a time that stands still."""

from datetime import UTC, datetime, timedelta

import pytest

from apsis.checking.directory import check_directory
from apsis.checking.one_job import Frame

#: a Monday
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def check(tmp_path):
    """Return what writes files and gives the findings as `file:line:col: severity: text`, in order."""

    def write_and_check(files, *, now=NOW, horizon=timedelta(days=7), resources=None):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        checked = check_directory(tmp_path, Frame(now=now, horizon=horizon, resources=resources))
        return [str(finding) for finding in checked.findings]

    return write_and_check


def said(findings, *parts):
    """Say whether one finding has all these parts."""
    return any(all(part in finding for part in parts) for finding in findings)
