"""One attempt, from claim to finish: the child process, and the threads that talk to the app.

heart     sends a heartbeat every two seconds, and receives commands
carrier   delivers the spool in order, for as long as it takes
upload    uploads checkpoints (uploads.py)
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainer.machine.memory import oom_kills
from trainer.protocol import RETRYABLE, Command, Ending, Outcome
from trainer.worker.child import Child
from trainer.worker.children import Children
from trainer.worker.client import Claim, Client, LeaseLost, NotFound, Unreachable, Unreadable
from trainer.worker.exit_codes import classify_exit
from trainer.worker.spool import BATCH_EVENTS
from trainer.worker.timing import DEFAULT_TIMING, Timing
from trainer.worker.uploads import Uploads
from trainer.worker.watchdog import Watchdog
from trainer.worker.workspace import Workspace

logger = logging.getLogger("pitwall.worker")

POLL_S = 0.2  # how often the child is polled
CANCEL_FILES_S = 3.0  # for uploads after a cancel
PAUSE_FILES_S = 60.0  # and after a pause
DRAIN_S = 25.0  # from a request to stop to leaving the rest to the lease
RETRY_S = (0.2, 0.5, 1.0, 2.0)  # waits while the app is unreachable; the last one repeats


class Attempt:
    """Works on a claimed run."""

    def __init__(
        self,
        client: Client,
        claim: Claim,
        data_dir: Path,
        stopping: threading.Event,
        children: Children,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """`stopping`: set when the worker shuts down; the run then goes back to the queue."""
        self._client, self._claim, self._stopping, self._children = client, claim, stopping, children
        self._timing = timing
        self._workspace = Workspace(data_dir / "work", claim.run, claim.trail, claim.attempt)
        self._uploads = Uploads(client, claim, self._workspace, timing.upload_every_s)
        self._lost, self._over = threading.Event(), threading.Event()
        self._command: Command = "none"
        self._at_once = self._has_begun = False
        self._ends_at: float | None = None
        self._files_end_at: float | None = None
        self.trouble: str | None = None  # why this worker cannot work on any run at the moment
        self.failure: str | None = None  # its kind, from the child's `failed` event
        self.has_failed = False

    def stop_now(self) -> None:
        """Stop without waiting for anything: the second request to stop."""
        self._at_once = True

    def run(self) -> None:
        """Work on the run until it ends, or until the lease is lost."""
        claim, heart = self._claim, threading.Thread(target=self._beat, name="heart", daemon=True)
        heart.start()
        try:
            ending, is_delivered = self._prepare_and_train()
            if self._lost.is_set():
                logger.warning("run %d, attempt %d: lease lost, another worker has the run", claim.run, claim.attempt)
            elif not is_delivered:
                logger.error("run %d, attempt %d: reports not delivered; its lease expires", claim.run, claim.attempt)
            else:
                self._finish(ending)
        finally:
            self._over.set()
            heart.join()

    def _prepare_and_train(self) -> tuple[Ending, bool]:
        """How the attempt ended, and whether all reports were delivered."""
        try:
            if self._prepare():
                return self._train()
        except OSError as problem:
            self.trouble = f"this worker cannot work in {self._workspace.folder.parent}: {problem.strerror or problem}"
            logger.error("run %d, attempt %d: %s", self._claim.run, self._claim.attempt, self.trouble)
            return Ending("released", reason=self.trouble), True
        command = self._command
        outcome: Outcome = "released" if command == "none" else "paused" if command == "pause" else "cancelled"
        return Ending(outcome, reason="it was stopped before it began"), True

    def _prepare(self) -> bool:
        """Create the folder with the newest checkpoint, from this disk or from the app.

        Waits for the app as long as necessary: starting over would be worse. False if a stop was requested meanwhile.
        """
        self._workspace.open()
        uploaded = self._claim.uploaded
        if uploaded and (uploaded["epoch"], uploaded["step"]) > self._workspace.position:
            name = f"checkpoint-{uploaded['epoch']:05d}-{uploaded['step']:06d}.safetensors"
            fetch = partial(self._client.fetch_checkpoint, self._claim, self._workspace.folder / name, self._is_wanted)
            try:
                if not self._retry(fetch, self._is_wanted):
                    return False
            except (NotFound, Unreadable) as problem:
                logger.warning("run %d: the app's checkpoint could not be downloaded: %s", self._claim.run, problem)
        self._workspace.delete_earlier()
        return self._is_wanted()

    def _is_wanted(self) -> bool:
        return not (self._lost.is_set() or self._stopping.is_set() or self._command != "none")

    def _train(self) -> tuple[Ending, bool]:
        """Run the child. Returns how it ended, and whether all its output was delivered."""
        watchdog, kills = Watchdog(self._timing.min_patience_s), oom_kills()

        def on_output(event: dict[str, object] | None) -> None:
            if event is None:
                watchdog.record_log()
                return
            watchdog.record_event(event)
            if event["event"] == "failed":
                self.failure = str(event.get("kind"))
            self._has_begun |= event["event"] == "started"

        known = self._claim.known_epoch
        arguments = ["--dir", str(self._workspace.folder), *(["--known", str(known)] if known is not None else [])]
        child = self._children.start_run(self._claim.recipe, arguments, on_output)
        carrier = threading.Thread(target=self._carry, args=(child,), name="carrier")
        carrier.start()
        try:
            exit_code, hang = self._watch(child, watchdog)
            was_killed = child.was_killed_by_us
        finally:
            child.close()
            carrier.join()
        ending = classify_exit(
            exit_code,
            command=self._command,
            is_stopping=self._stopping.is_set(),
            was_killed=was_killed,
            hang=hang,
            ran_out=oom_kills() > kills,
            batch_size=self._claim.recipe.get("batch_size"),
        )
        return ending, child.spool.done

    def _watch(self, child: Child, watchdog: Watchdog) -> tuple[int, str | None]:
        """Watch the child and follow commands until it has ended. Returns its exit code and, if it hung, the reason."""
        hang, dumped_at = None, 0.0
        while (exit_code := child.exit_code(POLL_S)) is None:
            if self._lost.is_set() or self._command == "cancel_now" or self._at_once:
                child.kill()
            elif self._command != "none" or self._stopping.is_set():
                self._seconds_left()  # starts the countdown
                is_cancel = self._command == "cancel"
                child.stop(self._timing.patience_s if is_cancel else self._timing.saving_patience_s)
            elif hang is not None:
                if time.monotonic() - dumped_at > self._timing.stacks_s:
                    child.kill()
            elif (hang := watchdog.find_hang()) is not None:
                logger.error("run %d, attempt %d: %s", self._claim.run, self._claim.attempt, hang)
                child.dump_stacks()
                dumped_at = time.monotonic()
            else:
                self._uploads.upload_if_due()
                if self._has_begun:
                    self._children.warm_up_beside(self._claim.next or self._claim.recipe)
        return exit_code, hang

    def _finish(self, ending: Ending) -> None:
        claim, name = self._claim, self.failure or ending.failure
        if ending.outcome == "failed":
            ending, self.has_failed = replace(ending, failure=name), True
        has_all = self._uploads.upload_rest(self._upload_seconds_left)
        taken = self._retry(lambda: self._client.finish(claim, ending))
        words = ending.outcome if taken else f"{ending.outcome}, not accepted by the app"
        logger.info("run %d, attempt %d: %s (exit code %s)", claim.run, claim.attempt, words, ending.exit_code)
        will_continue = ending.outcome in {"released", "paused"} or (ending.outcome == "failed" and name in RETRYABLE)
        if taken and has_all and not will_continue:
            self._workspace.delete()

    def _seconds_left(self) -> float | None:
        """Seconds left for a worker that is shutting down; None if it is not."""
        if not self._stopping.is_set():
            return None
        self._ends_at = self._ends_at or time.monotonic() + DRAIN_S
        return 0.0 if self._at_once else max(self._ends_at - time.monotonic(), 0.0)

    def _upload_seconds_left(self) -> float | None:
        """Seconds left for uploads, with a limit after a cancel or pause: the files stay on this disk anyway."""
        if self._at_once or self._command == "cancel_now" or self._lost.is_set():
            return 0.0
        if self._command == "none":
            return self._seconds_left()
        limit = CANCEL_FILES_S if self._command == "cancel" else PAUSE_FILES_S
        self._files_end_at = self._files_end_at or time.monotonic() + limit
        return max(
            min(self._files_end_at - time.monotonic(), limit if (left := self._seconds_left()) is None else left), 0.0
        )

    def _beat(self) -> None:
        while not self._over.wait(self._timing.beat_s):
            try:
                command = self._client.beat(self._claim)
                if self._command != "cancel_now" and command != "none":
                    self._command = command
            except LeaseLost:
                self._lost.set()
                return
            except (Unreachable, Unreadable):
                pass  # the run continues without the app; the carrier logs the problem

    def _carry(self, child: Child) -> None:
        at_most = BATCH_EVENTS
        while not child.spool.done and not self._lost.is_set():
            batch = child.spool.next_batch(1.0, at_most)
            if batch is None:
                continue
            counts = True
            try:
                if not self._retry(lambda batch=batch: self._client.report(self._claim, batch)):  # type: ignore[misc]
                    return
            except Unreadable as problem:
                if len(batch.events) > 1:
                    at_most = 1  # find the unreadable one, and drop only that
                    continue
                logger.error("run %d: the app rejected a report, which is dropped: %s", self._claim.run, problem)
                counts = False
            child.spool.mark_delivered(batch, counts=counts)
            at_most = BATCH_EVENTS if counts else at_most

    def _retry(self, deliver: Callable[[], None], is_wanted: Callable[[], bool] | None = None) -> bool:
        """Try until the app has it. False when it is not ours any more, or a stopping worker ran out of time, or it is
        not wanted any more."""
        for attempt in range(sys.maxsize):
            try:
                deliver()
            except LeaseLost:
                self._lost.set()
                return False
            except Unreachable as problem:
                if attempt == 0:
                    logger.warning("the app cannot be reached (%s); keeping reports until it can", problem)
                if self._seconds_left() == 0 or self._lost.is_set() or (is_wanted is not None and not is_wanted()):
                    return False
                time.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            else:
                return True
        return False
