"""Who belongs to a crew, and what is left of one: looked for from outside, in the kernel's own lists."""

from __future__ import annotations

import multiprocessing
import threading
from pathlib import Path

import psutil

_others: set[int] = set()  # children of ours that no crew started, such as a browser's driver


def know_others() -> None:
    """Call before a test: whoever is there by now is not of its crew."""
    _others.clear()
    _others.update(child.pid for child in psutil.Process().children())


def members() -> list[int]:
    """Process ids of this process' crew."""
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


def left_of_crews() -> list[str]:
    """Children, waiting zombies among them, threads and shared pictures. Should be empty after a crew's context.

    Python's own tracker of semaphores, which lives as long as we do, is nobody's crew.
    """
    now = [child for child in psutil.Process().children() if child.pid not in _others and not _is_tracker(child)]
    children = [f"process {child.pid}" for child in now]
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith(("feed", "QueueFeeder"))]
    links = [link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return children + threads + [name for name in links if "pitwall-pictures" in name]


def _is_tracker(process: psutil.Process) -> bool:
    return "multiprocessing.resource_tracker" in " ".join(process.cmdline())
