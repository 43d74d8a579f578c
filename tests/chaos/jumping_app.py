"""The real app with a wall clock that jumps: as many seconds off as the file `CHAOS_CLOCK` says, at each look.

The app reads the wall clock in one place, `State.now`, which is what is replaced here.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import app.__main__
from app.web.deps import State

CLOCK = Path(os.environ["CHAOS_CLOCK"])


def now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=float(CLOCK.read_text()))


if __name__ == "__main__":
    vars(app.__main__)["State"] = partial(State, now=now)
    app.__main__.main()
