"""`python -m tests.chaos.light_worker`: the real worker, with its arguments, whose children are light_trainer.py."""

from __future__ import annotations

import sys

from trainer.worker.__main__ import main

if __name__ == "__main__":
    main((sys.executable, "-m", "tests.chaos.light_trainer", "--processes", "0"))
