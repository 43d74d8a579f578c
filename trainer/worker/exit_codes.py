"""How a child process ended: its name and its words. Must not know runs or HTTP."""

from __future__ import annotations

import signal

from trainer.failures import STOPPED, suggest_smaller
from trainer.protocol import HANG, KILLED, OUT_OF_HOST_MEMORY, Command, Ending

SIGNAL_CAUSES = {
    signal.SIGKILL: "often the kernel, when memory runs out: try a smaller batch",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGABRT: "native code gave up",
    signal.SIGBUS: "often a full disk or shared memory",
    signal.SIGILL: "the framework was built for another processor",
}


def describe_exit(exit_code: int) -> str:
    """A sentence for an exit code as `subprocess` gives it: negative means killed by that signal."""
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
    asked: Command,
    is_stopping: bool,
    was_killed: bool,
    hang: str | None,
    ran_out: bool,
    batch_size: int | None,
) -> Ending:
    """What an ended child means for its run.

    `asked`: by people; `is_stopping`: the worker itself ends; `was_killed`: by this worker; `hang`: why it was;
    `ran_out`: the kernel killed somebody here for want of memory meanwhile; `batch_size`: of the recipe.
    """
    if exit_code == 0:
        return Ending("succeeded", 0)
    if asked in {"cancel", "cancel_now"}:
        return Ending("cancelled", exit_code)
    if hang is not None:
        return Ending("failed", exit_code, HANG, hang, "The log ends with what each of its threads was doing.")
    is_deaf = (is_stopping or asked == "pause") and -exit_code in {signal.SIGTERM, signal.SIGINT}  # it just began
    # killed: it did not stop in time, and goes on from its last checkpoint
    if exit_code == STOPPED or was_killed or is_deaf:
        words = "it was paused" if asked == "pause" else "its worker was stopped"
        return Ending("paused" if asked == "pause" else "released", exit_code, reason=words)
    if ran_out:
        text = "This machine ran out of memory, and the kernel killed a process of the run."
        return Ending("failed", exit_code, OUT_OF_HOST_MEMORY, text, suggest_smaller(batch_size))
    if exit_code < 0:
        return Ending("failed", exit_code, KILLED, describe_exit(exit_code))
    return Ending("failed", exit_code, reason=describe_exit(exit_code))
