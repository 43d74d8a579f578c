"""How a child process ended, in words. Must not know runs or HTTP."""

from __future__ import annotations

import signal

STOPPED = 75  # the child stopped because it was asked to (EX_TEMPFAIL of sysexits.h)

WHY = {
    signal.SIGKILL: "often the kernel, when memory runs out: try a smaller batch",
    signal.SIGSEGV: "a crash in native code",
    signal.SIGABRT: "native code gave up",
    signal.SIGBUS: "often a full disk or shared memory",
    signal.SIGILL: "the framework was built for another processor",
}


def describe(exit_code: int) -> str:
    """A sentence for an exit code as `subprocess` gives it: negative means killed by that signal."""
    if exit_code >= 0:
        return f"The trainer ended with exit code {exit_code}."
    try:
        name = signal.Signals(-exit_code)
    except ValueError:
        return f"The trainer was killed by signal {-exit_code}."
    why = WHY.get(name)
    return f"The trainer was killed by signal {-exit_code} ({name.name})" + (f": {why}." if why else ".")
