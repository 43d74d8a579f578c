"""The real worker whose children are light_trainer.py: `python -m tests.chaos.light_worker`, with the real arguments."""

from __future__ import annotations

import sys

import trainer.worker

LIGHT_TRAINER = (sys.executable, "-m", "tests.chaos.light_trainer", "--processes", "0")

if __name__ == "__main__":
    trainer.worker.TRAINER = LIGHT_TRAINER
    trainer.worker.main()
