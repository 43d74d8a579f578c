"""One attempt, from its claim to its finish: the child, and the threads that carry what it says.

    heart     beats every two seconds, whatever else goes on; hears what people want
    carrier   delivers the spool in order, for as long as it takes
    upload    hands checkpoints in (uploads.py)

Must not know how runs are claimed or what the events mean.
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

POLL_S = 0.2  # how often the child is looked at
CANCEL_FILES_S = 3.0  # for handing files in after a cancel
PAUSE_FILES_S = 60.0  # and after a pause
DRAIN_S = 25.0  # from being told to stop to leaving the rest to the lease
RETRY_S = (0.2, 0.5, 1.0, 2.0)  # waits while the app is unreachable; the last one repeats


class Attempt:
    """A claimed run in the hands of this worker."""

    def __init__(
        self,
        client: Client,
        claim: Claim,
        data_dir: Path,
        stopping: threading.Event,
        children: Children,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """`stopping`: set when the worker shall end; the run is then handed back. `children`: of the worker."""
        self._client, self._claim, self._stopping, self._children = client, claim, stopping, children
        self._timing = timing
        self._workspace = Workspace(data_dir / "work", claim.run, claim.trail, claim.attempt)
        self._uploads = Uploads(client, claim, self._workspace, timing.upload_every_s)
        self._lost, self._over = threading.Event(), threading.Event()
        self._asked: Command = "none"
        self._at_once = self._has_begun = False
        self._ends_at: float | None = None
        self._files_end_at: float | None = None
        self.trouble: str | None = None  # why this worker can do no work at all just now
        self.failure: str | None = None  # as the child named it
        self.has_failed = False

    def stop_now(self) -> None:
        """Told to stop a second time: wait for nothing."""
        self._at_once = True

    def run(self) -> None:
        """Work on it to its end, or until it is lost to somebody else."""
        claim, heart = self._claim, threading.Thread(target=self._beat, name="heart", daemon=True)
        heart.start()
        try:
            told, is_delivered = self._worked()
            if self._lost.is_set():
                logger.warning("run %d, attempt %d: lost to somebody else", claim.run, claim.attempt)
            elif not is_delivered:
                logger.error("run %d, attempt %d: not all was delivered; left to its lease", claim.run, claim.attempt)
            else:
                self._finish(told)
        finally:
            self._over.set()
            heart.join()

    def _worked(self) -> tuple[Ending, bool]:
        """How it ended, and whether all that was said was delivered."""
        try:
            if self._prepare():
                return self._train()
        except OSError as problem:
            self.trouble = f"this worker cannot work in {self._workspace.folder.parent}: {problem.strerror or problem}"
            logger.error("run %d, attempt %d: %s", self._claim.run, self._claim.attempt, self.trouble)
            return Ending("released", reason=self.trouble), True
        asked = self._asked
        outcome: Outcome = "released" if asked == "none" else "paused" if asked == "pause" else "cancelled"
        return Ending(outcome, reason="it was stopped before it began"), True

    def _prepare(self) -> bool:
        """The folder, with the newest checkpoint that can be had: of this disk, or of the app.

        However long the app is away: to begin again would be worse. False where this is called off meanwhile.
        """
        self._workspace.open()
        uploaded = self._claim.uploaded
        if uploaded and (uploaded["epoch"], uploaded["step"]) > self._workspace.position:
            name = f"checkpoint-{uploaded['epoch']:05d}-{uploaded['step']:06d}.safetensors"
            fetch = partial(self._client.fetch_checkpoint, self._claim, self._workspace.folder / name, self._is_wanted)
            try:
                if not self._insist(fetch, self._is_wanted):
                    return False
            except (NotFound, Unreadable) as problem:
                logger.warning("run %d: the app's checkpoint cannot be had: %s", self._claim.run, problem)
        self._workspace.delete_earlier()
        return self._is_wanted()

    def _is_wanted(self) -> bool:
        return not (self._lost.is_set() or self._stopping.is_set() or self._asked != "none")

    def _train(self) -> tuple[Ending, bool]:
        """The child from its start to its end: how it ended, and whether all that it said was delivered."""
        dog, kills = Watchdog(self._timing.min_patience_s), oom_kills()

        def hear(event: dict[str, object] | None) -> None:
            if event is None:
                dog.record_log()
                return
            dog.record_event(event)
            if event["event"] == "failed":
                self.failure = str(event.get("kind"))
            self._has_begun |= event["event"] == "started"

        known = self._claim.known_epoch
        arguments = ["--dir", str(self._workspace.folder), *(["--known", str(known)] if known is not None else [])]
        child = self._children.start_run(self._claim.recipe, arguments, hear)
        carrier = threading.Thread(target=self._carry, args=(child,), name="carrier")
        carrier.start()
        try:
            exit_code, hang = self._watch(child, dog)
            was_killed = child.was_killed_by_us
        finally:
            child.close()
            carrier.join()
        told = classify_exit(
            exit_code,
            asked=self._asked,
            is_stopping=self._stopping.is_set(),
            was_killed=was_killed,
            hang=hang,
            ran_out=oom_kills() > kills,
            batch_size=self._claim.recipe.get("batch_size"),
        )
        return told, child.spool.done

    def _watch(self, child: Child, dog: Watchdog) -> tuple[int, str | None]:
        """Obey until the child has ended. Answers its exit code and, where it hung, why it was killed."""
        hang, dumped_at = None, 0.0
        while (exit_code := child.exit_code(POLL_S)) is None:
            if self._lost.is_set() or self._asked == "cancel_now" or self._at_once:
                child.kill()
            elif self._asked != "none" or self._stopping.is_set():
                self._left()  # the time begins
                is_cancel = self._asked == "cancel"
                child.stop(self._timing.patience_s if is_cancel else self._timing.saving_patience_s)
            elif hang is not None:
                if time.monotonic() - dumped_at > self._timing.stacks_s:
                    child.kill()
            elif (hang := dog.find_hang()) is not None:
                logger.error("run %d, attempt %d: %s", self._claim.run, self._claim.attempt, hang)
                child.dump_stacks()
                dumped_at = time.monotonic()
            else:
                self._uploads.upload_if_due()
                if self._has_begun:
                    self._children.warm_up_beside(self._claim.next or self._claim.recipe)
        return exit_code, hang

    def _finish(self, told: Ending) -> None:
        claim, name = self._claim, self.failure or told.failure
        if told.outcome == "failed":
            told, self.has_failed = replace(told, failure=name), True
        has_all = self._uploads.upload_rest(self._left_for_files)
        taken = self._insist(lambda: self._client.finish(claim, told))
        words = told.outcome if taken else f"{told.outcome}, which the app did not take"
        logger.info("run %d, attempt %d: %s (exit code %s)", claim.run, claim.attempt, words, told.exit_code)
        goes_on = told.outcome in {"released", "paused"} or (told.outcome == "failed" and name in RETRYABLE)
        if taken and has_all and not goes_on:
            self._workspace.delete()

    def _left(self) -> float | None:
        """Seconds that a worker which was told to stop may still take; None: it was not."""
        if not self._stopping.is_set():
            return None
        self._ends_at = self._ends_at or time.monotonic() + DRAIN_S
        return 0.0 if self._at_once else max(self._ends_at - time.monotonic(), 0.0)

    def _left_for_files(self) -> float | None:
        """The same for handing files in: they stay on this disk, so nobody shall wait long who asked for a stop."""
        if self._at_once or self._asked == "cancel_now" or self._lost.is_set():
            return 0.0
        if self._asked == "none":
            return self._left()
        limit = CANCEL_FILES_S if self._asked == "cancel" else PAUSE_FILES_S
        self._files_end_at = self._files_end_at or time.monotonic() + limit
        return max(min(self._files_end_at - time.monotonic(), limit if (left := self._left()) is None else left), 0.0)

    def _beat(self) -> None:
        while not self._over.wait(self._timing.beat_s):
            try:
                asked = self._client.beat(self._claim)
                if self._asked != "cancel_now" and asked != "none":
                    self._asked = asked
            except LeaseLost:
                self._lost.set()
                return
            except (Unreachable, Unreadable):
                pass  # the run goes on without the app; the carrier says what is wrong

    def _carry(self, child: Child) -> None:
        at_most = BATCH_EVENTS
        while not child.spool.done and not self._lost.is_set():
            batch = child.spool.next_batch(1.0, at_most)
            if batch is None:
                continue
            counts = True
            try:
                if not self._insist(lambda batch=batch: self._client.report(self._claim, batch)):  # type: ignore[misc]
                    return
            except Unreadable as problem:
                if len(batch.events) > 1:
                    at_most = 1  # find the one that cannot be read, and leave out no other
                    continue
                logger.error("run %d: the app cannot read a report, which is left out: %s", self._claim.run, problem)
                counts = False
            child.spool.mark_delivered(batch, counts=counts)
            at_most = BATCH_EVENTS if counts else at_most

    def _insist(self, deliver: Callable[[], None], is_wanted: Callable[[], bool] | None = None) -> bool:
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
                    logger.warning("the app cannot be reached (%s); keeping what the run says", problem)
                if self._left() == 0 or self._lost.is_set() or (is_wanted is not None and not is_wanted()):
                    return False
                time.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            else:
                return True
        return False
