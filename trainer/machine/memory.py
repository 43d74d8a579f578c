"""Counts how often the kernel's OOM killer hit this process's control group. Linux; 0 if unknown."""

from __future__ import annotations

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def oom_kills(own: Path = Path("/proc/self/cgroup"), root: Path = CGROUPS) -> int:
    """The kernel's counter for this process's control group: an increase means that memory has run out.

    cgroup v2 counts in `memory.events`, v1 in `memory.oom_control`; a container sees its group as the root.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        kind, file = ("memory", "memory.oom_control") if controllers else ("", "memory.events")
        for folder in (root / kind / path.lstrip("/"), root / kind):
            if (count := _counter(folder / file)) is not None:
                return count
    return 0


def _counter(path: Path) -> int | None:
    try:
        found = dict(line.split() for line in path.read_text().splitlines())
        return int(found["oom_kill"])
    except (OSError, KeyError, ValueError):
        return None
