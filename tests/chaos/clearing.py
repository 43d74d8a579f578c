"""Finds what a scenario left behind, and removes it: processes, mounts, network namespaces, control groups.

A scenario clears up behind itself; this is for those that were killed. Must not touch anything that is not marked
as a scenario's: by `CHAOS_WORLD`, by the folder that it lies in, by its name.
"""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.chaos.world import MARK

PREFIX = "pitwall-chaos"  # of folders, namespaces and control groups
CGROUPS = Path("/sys/fs/cgroup")


def clear(root: Path) -> list[str]:
    """Remove what belongs to scenarios under `root`; returns a description of what was found."""
    found = [f"process {one.pid}" for one in _processes(root)]
    for _ in range(20):
        if not (left := _processes(root)):
            break
        for one in left:
            _kill(one)
        time.sleep(0.1)
    for point in mounts(root):
        found.append(f"mount {point}")
        subprocess.run(["umount", "-l", point], check=False)
    for name in namespaces(root):
        found.append(f"namespace {name}")
        subprocess.run(["ip", "netns", "del", name], check=False)
    for group in sorted(CGROUPS.glob(f"**/{_own(root)}*"), reverse=True):
        found.append(f"control group {group.name}")
        group.rmdir()
    return found


def own_name(folder: Path) -> str:
    """For a scenario's namespace or control group: `folder` is the scenario's."""
    return f"{_own(folder.parent)}-{folder.name}"


def mounts(root: Path) -> list[str]:
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in points if Path(point).is_relative_to(root)]


def namespaces(root: Path) -> list[str]:
    folder = Path("/run/netns")
    return [path.name for path in folder.glob(f"{_own(root)}*")] if folder.is_dir() else []


def _own(root: Path) -> str:
    return root.name  # pitwall-chaos-<random>


def _processes(root: Path) -> list[psutil.Process]:
    """Those that are marked as a scenario's, and what a scenario's process was."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK)
            if mark and Path(mark).is_relative_to(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()
