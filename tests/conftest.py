"""What all tests share."""

from __future__ import annotations

import os

# The tests' tensors are small: threads gain nothing on them, and cost much where the machine is busy. Set before torch
# is imported, and handed on to the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
