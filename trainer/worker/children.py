"""The child processes of one worker: the current run's, and a warm one for the next run (trainer/loop/warm.py).

A warm child fits a run with the same backend, precision and data set, and is discarded for any other; once the
trainer's source has changed on disk, it fits none.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.worker.child import TRAINER, Child
from trainer.worker.exit_codes import describe_exit

logger = logging.getLogger("pitwall.worker")

MIN_CORES = 4  # with fewer, a child that warms up would slow down the run in progress

OnOutput = Callable[[dict[str, Any] | None], None]
Key = tuple[Any, ...]


class Children:
    """Use from one thread: the kernel ends a child when the thread that started it has ended."""

    def __init__(
        self,
        datasets: Path,
        environment: Mapping[str, str],
        command: tuple[str, ...] = TRAINER,
        *,
        device: str = "cpu",
        keeps_warm: bool = False,
        program: Path = Path(__file__).parents[1],
        cores: Callable[[], int] = lambda: len(os.sched_getaffinity(0)),
    ) -> None:
        """`program`: the folder of the trainer's source. `cores`: how many this process may use."""
        self._base = ("--datasets", str(datasets), "--parent", str(os.getpid()))
        self._environment, self._command = environment, command
        self._wait = "all" if device == "cpu" else "host"  # a GPU belongs to the current run alone
        self._keeps_warm, self._program, self._cores = keeps_warm, program, cores
        self._warm: Child | None = None
        self._fits: Key = ()
        self.counts = Counter(used=0, discarded=0, died=0)  # warm children

    def start_run(self, recipe: Mapping[str, Any], arguments: Sequence[str], on_output: OnOutput) -> Child:
        """Start the recipe in the warm child if it fits, else in a new one. See Child.send_recipe for `on_output`."""
        child, self._warm = self._warm, None
        if child is not None:
            order = {"at": time.monotonic(), "recipe": recipe, "arguments": arguments}
            if (code := child.exit_code(0)) is not None:
                logger.warning("the warm child has died: %s", describe_exit(code))
                self.counts["died"] += 1
            elif self._fits != self._key(recipe):
                self.counts["discarded"] += 1
            elif child.send_recipe(json.dumps(order) + "\n", on_output):
                self.counts["used"] += 1
                return child
            else:
                self.counts["died"] += 1
            child.close()
        child = Child([*self._command, *self._base, *arguments, "-"], self._environment)
        child.send_recipe(json.dumps(recipe), on_output)
        return child

    def warm_up(self, recipe: Mapping[str, Any]) -> None:
        """Warm up a child for a run like this one, unless there is one already."""
        if self._keeps_warm and self._warm is None:
            self._fits = self._key(recipe)  # before the child reads any source
            self._warm = Child([*self._command, *self._base, "--wait", self._wait, "-"], self._environment)
            self._warm.write(json.dumps(recipe) + "\n")

    def warm_up_beside(self, recipe: Mapping[str, Any]) -> None:
        """The same while a run is in progress, if there are cores for both."""
        if self._cores() >= MIN_CORES:
            self.warm_up(recipe)

    def close(self) -> None:
        """End the warm child."""
        if self._warm is not None:
            self._warm.close()
            self._warm = None

    def _key(self, recipe: Mapping[str, Any]) -> Key:
        """What a warm child must match. A new child would read the source as it is on disk now."""
        return recipe["backend"], recipe["precision"], recipe["dataset"]["name"], self._changed_at()

    def _changed_at(self) -> float:
        try:
            return max(path.stat().st_mtime for path in self._program.rglob("*.py"))
        except OSError:  # a file was deleted in the meantime
            return time.monotonic()
