"""Beside it, `zone_changes`: every zone of tzdata, and when its clock is changed."""

import sys
from pathlib import Path

# test folders are no packages; what the tests share lies beside them
sys.path.insert(0, str(Path(__file__).parent))
