"""`python -m apsis_services.supervisor --home H [--host NAME]`: the supervisor of a host."""

import sys

from apsis_bus.service import run
from apsis_services.supervisor.service import Supervisor

if __name__ == "__main__":
    sys.exit(run(Supervisor))
