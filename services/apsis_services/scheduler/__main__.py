"""`python -m apsis_services.scheduler --home H`."""

import sys

from apsis_bus.service import run
from apsis_services.scheduler.service import Scheduler

sys.exit(run(Scheduler))
