"""`python -m tests.chaos.light_worker`: the real worker, with its arguments, whose children are light_trainer.py."""

from __future__ import annotations

import sys

import trainer.worker.worker

LIGHT_TRAINER = (sys.executable, "-m", "tests.chaos.light_trainer", "--processes", "0")

if __name__ == "__main__":
    vars(trainer.worker.worker)["TRAINER"] = LIGHT_TRAINER
    trainer.worker.worker.main()
