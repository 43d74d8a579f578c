"""A checkpoint interrupted at each system call of its writing: killed there, or the call fails (strace)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.stage import Row, Stage
from tests.trainer.worker import system_calls

LONG_ROUNDS = 5


def checkpoint_calls(stage: Stage) -> Iterator[Row]:
    kinds = ("kill -9", "ENOSPC", "EIO")
    must = "a complete checkpoint, and the run resumes, at all of them"
    if not system_calls.is_possible():
        yield Row("A checkpoint interrupted at each system call", "strace may not attach here", must, holds=None)
        return
    for kind in kinds:
        points = survived = 0
        lost: list[str] = []
        for number in range(LONG_ROUNDS if stage.is_long else 1):
            folder = stage.folder / f"{kind.replace(' ', '')}-{number}"
            found = system_calls.kills(folder) if kind == "kill -9" else system_calls.faults(folder, kind)
            points, survived, lost = points + found.points, survived + found.survived, lost + found.lost
        print("\n".join(lost), flush=True)
        yield Row(f"A checkpoint: `{kind}` at each of its system calls", f"{survived} of {points}" +
                  "".join(f"; {words}" for words in lost[:1]), must, survived == points > 0)  # fmt: skip
