"""Turns a child's exit code into the outcome of its attempt, with a failure's name and a sentence."""

from __future__ import annotations

import signal

from trainer.failures import STOPPED, suggest_smaller
from trainer.protocol import HANG, KILLED, OUT_OF_HOST_MEMORY, Command, Ending

SIGNAL_CAUSES = {
    signal.SIGKILL: "often the kernel, when memory runs out: try a smaller batch",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGABRT: "native code aborted",
    signal.SIGBUS: "often a full disk or shared memory",
    signal.SIGILL: "the framework was built for another processor",
}


def describe_exit(exit_code: int) -> str:
    """A sentence for an exit code of `subprocess`: negative means killed by that signal."""
    if exit_code >= 0:
        return f"The trainer ended with exit code {exit_code}."
    try:
        name = signal.Signals(-exit_code)
    except ValueError:
        return f"The trainer was killed by signal {-exit_code}."
    why = SIGNAL_CAUSES.get(name)
    return f"The trainer was killed by signal {-exit_code} ({name.name})" + (f": {why}." if why else ".")


def classify_exit(
    exit_code: int,
    *,
    command: Command,
    is_stopping: bool,
    was_killed: bool,
    hang: str | None,
    ran_out: bool,
    batch_size: int | None,
) -> Ending:
    """The outcome of an attempt whose child has ended.

    `command`: the latest command; `is_stopping`: the worker is shutting down; `was_killed`: by this worker; `hang`: the
    reason if it hung; `ran_out`: the kernel killed a process for lack of memory meanwhile; `batch_size`: the recipe's.
    """
    if exit_code == 0:
        return Ending("succeeded", 0)
    if command in {"cancel", "cancel_now"}:
        return Ending("cancelled", exit_code)
    if hang is not None:
        return Ending("failed", exit_code, HANG, hang, "The log ends with the stack of each thread.")
    is_deaf = (is_stopping or command == "pause") and -exit_code in {signal.SIGTERM, signal.SIGINT}  # just started
    # killed: it did not stop in time, and will resume from its last checkpoint
    if exit_code == STOPPED or was_killed or is_deaf:
        words = "it was paused" if command == "pause" else "its worker was stopped"
        return Ending("paused" if command == "pause" else "released", exit_code, reason=words)
    if ran_out:
        text = "This machine ran out of memory, and the kernel killed a process of the run."
        return Ending("failed", exit_code, OUT_OF_HOST_MEMORY, text, suggest_smaller(batch_size))
    if exit_code < 0:
        return Ending("failed", exit_code, KILLED, describe_exit(exit_code))
    return Ending("failed", exit_code, reason=describe_exit(exit_code))
