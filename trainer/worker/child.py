"""One `python -m trainer` as a child process: its output goes into a spool, and stopping it always works."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from trainer.worker.spool import Spool

TRAINER = (sys.executable, "-m", "trainer")
CHUNK_BYTES = 64 * 1024  # bytes read from the log at once
SETTLE_S = 0.02  # from the end of its stdout to the end of the process
MAX_LINE_BYTES = 1024 * 1024  # an event is far shorter


class Child:
    """The process, from start to end. Use from one thread; `spool` is filled in the background."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process in its own process group, so that it and its data workers are stopped together."""
        self.spool = Spool()
        self._on_output: Callable[[dict[str, Any] | None], None] = lambda event: None
        self._asked_at: float | None = None
        self._killed = False
        self._silent = threading.Event()  # its stdout is closed: it has ended, or is about to
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            env=dict(environment),
        )
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._readers = [
            threading.Thread(target=self._read_events, args=(self._process.stdout,), name="events", daemon=True),
            threading.Thread(target=self._read_log, args=(self._process.stderr,), name="log", daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def write(self, text: str) -> bool:
        """Write to its stdin. False if the process has died."""
        assert self._process.stdin
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def send_recipe(self, text: str, on_output: Callable[[dict[str, Any] | None], None]) -> bool:
        """Write the order and close its stdin. `on_output` gets each event at once, and None when the log grew."""
        self._on_output = on_output
        is_heard = self.write(text)
        self._hang_up()
        return is_heard

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self, wait_s: float) -> int | None:
        """The exit code (negative: a signal) once it has ended, None if it still runs after `wait_s` seconds."""
        if self._silent.wait(wait_s):
            time.sleep(SETTLE_S)
        return self._process.poll()

    def stop(self, patience_s: float) -> None:
        """Ask it to stop at its next step; kill its process group after `patience_s` seconds. Call repeatedly."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._signal(signal.SIGTERM)
        elif now - self._asked_at > patience_s:
            self.kill()

    @property
    def was_killed_by_us(self) -> bool:
        return self._killed

    def dump_stacks(self) -> None:
        """Have the process write the stacks of all its threads to its log (faulthandler)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGUSR1)

    def kill(self) -> None:
        self._killed |= self._process.poll() is None
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Read the remaining output, and end every process of its group."""
        self.kill()  # data workers that outlived it would hold the pipes open
        self._process.wait()
        for reader in self._readers:
            reader.join()
        self._hang_up()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()
        self.spool.close()

    def _hang_up(self) -> None:
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # closing flushes what it has not read
            self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # the whole group has ended
            os.killpg(self._process.pid, number)

    def _read_events(self, stream: IO[bytes]) -> None:
        while line := stream.readline(MAX_LINE_BYTES):
            if text := line.decode(errors="replace").strip():
                event = self.spool.add_event(text)
                if event is not None:
                    self._on_output(event)
        self._silent.set()

    def _read_log(self, stream: IO[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        while piece := os.read(stream.fileno(), CHUNK_BYTES):
            if text := decoder.decode(piece):
                self.spool.add_log(text)
                self._on_output(None)
