"""`python -m apsis_web --home H [--port N]`."""

import argparse
import sys

from apsis_bus.service import run
from apsis_web.server import Web


def main() -> int:
    """Serve until told to end; `--port` goes before web.port of the configuration."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--port", type=int)
    options, rest = parser.parse_known_args()
    Web.port = options.port
    return run(Web, rest)


if __name__ == "__main__":
    sys.exit(main())
