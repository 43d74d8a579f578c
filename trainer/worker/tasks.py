"""Short tasks that a worker does beside its runs, in a thread, one at a time, each in a child with low priority.

They never use a GPU, and their failures do not affect the run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.worker.client import Client, LeaseLost, NotFound, Task, Unreachable, Unreadable

logger = logging.getLogger("pitwall.worker")

AGAIN_S = 5.0  # after the app could not be reached
PATIENCE_S = 100.0  # for a child: an export imports Keras, which takes some seconds, on a busy machine many
REFUSED = 2  # exit code: stdout has the reason
BROKEN_MESSAGE = "the worker failed: its log has the reason"


class Tasks:
    """Call `start` once. The thread ends with the process."""

    def __init__(
        self,
        client: Client,
        worker: str,
        device: str,
        backends: Sequence[str],
        environment: Mapping[str, str],
        python: str = sys.executable,
    ) -> None:
        """`client`: not shared, since a claim blocks. `environment`, `python`: of the children; must hide the GPU."""
        self._python = python
        self._client, self._who = client, (worker, device, list(backends))
        self._environment = {**environment, "OPENBLAS_NUM_THREADS": "1"}  # one core, and no memory for more threads

    def start(self) -> None:
        threading.Thread(target=self._work, name="tasks", daemon=True).start()

    def once(self, wait_s: float) -> bool:
        """Wait for one task and do it; False if there was none. Raises Unreachable, Unreadable."""
        task = self._client.claim_task(*self._who, wait_s)
        if task is None:
            return False
        try:
            with tempfile.TemporaryDirectory(prefix="pitwall-task-") as folder:
                self._do(task, Path(folder))
        except (LeaseLost, NotFound) as problem:  # the request was withdrawn
            logger.info("task %d: abandoned (%s)", task.number, problem)
        except Exception:
            logger.exception("task %d", task.number)
            with contextlib.suppress(Unreachable, Unreadable):  # the app may be down
                self._client.answer_task(task, {"problem": BROKEN_MESSAGE})
        return True

    def _work(self) -> None:
        while True:
            try:
                self.once(wait_s=20.0)
            except (Unreachable, Unreadable):
                time.sleep(AGAIN_S)
            except Exception:  # the thread must survive any answer
                logger.exception("a task could not be claimed")
                time.sleep(AGAIN_S)

    def _do(self, task: Task, folder: Path) -> None:
        weights, picture, made = (folder / name for name in ("best.safetensors", "picture", "made"))
        self._client.fetch_weights(task, weights)
        if task.kind == "look":
            self._client.fetch_picture(task, picture)
            said = self._child("trainer.inference.predict", str(weights), str(picture))
            self._client.answer_task(task, said if "problem" in said else {"look": said})
        else:
            assert task.format is not None
            said = self._child("trainer.inference.export", str(weights), task.format, str(made))
            if "problem" in said:
                self._client.answer_task(task, said)
            else:
                self._client.upload_task_file(task, made)
        logger.info("task %d: %s of run %d, %s", task.number, task.kind, task.run, said.get("problem", "done"))

    def _child(self, module: str, *arguments: str) -> dict[str, Any]:
        """Its JSON output, {} for none. Raises CalledProcessError if it failed, after logging its stderr."""
        command = [self._python, "-m", module, *arguments, "--parent", str(os.getpid())]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        if done.returncode not in (0, REFUSED):
            logger.error("%s ended with %d: %s", module, done.returncode, done.stderr[-2000:])
            done.check_returncode()
        return dict(json.loads(done.stdout)) if done.stdout.strip() else {}
