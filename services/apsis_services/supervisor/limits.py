"""What this process may use."""

import resource


def open_many_files() -> None:
    """A pidfd or a connection for each run: take as many descriptors as we may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
