"""The simulation of schedules lies beside its tests."""

import sys
from pathlib import Path

# test folders are no packages; what the tests share lies beside them
sys.path.insert(0, str(Path(__file__).parent))
