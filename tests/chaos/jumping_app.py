"""The real app with a wall clock that jumps: as many seconds off as the file `CHAOS_CLOCK` says, at each look.

The app reads the wall clock in one place, which is passed in.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.__main__ import main

CLOCK = Path(os.environ["CHAOS_CLOCK"])


def now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(CLOCK.read_text()))


if __name__ == "__main__":
    main(now)
