"""`python -m apsis_services.store --home H`: the output store."""

import sys

from apsis_bus.service import run
from apsis_services.store.service import Store

if __name__ == "__main__":
    sys.exit(run(Store))
