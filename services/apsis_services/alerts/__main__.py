"""`python -m apsis_services.alerts --home H`: the service for alerts."""

import sys

from apsis_bus.service import run
from apsis_services.alerts.service import Alerts

if __name__ == "__main__":
    sys.exit(run(Alerts))
