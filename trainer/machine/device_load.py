"""Utilisation, memory, temperature and power of a device: a CPU's from /proc, a GPU's from NVIDIA's management library.

Of the whole device, including other processes: that is what matters when a run is slow. None for what cannot be read.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INTERVAL_S = 1.0  # between two readings of a monitor
MILLI = 1e-3
KIB = 1024

Ticks = tuple[int, ...]  # of user, nice, system, idle, waiting, and interrupts
IDLE, WAITING = 3, 4


@dataclass(frozen=True)
class DeviceLoad:
    busy: float | None = None  # fraction (0..1) of the time since the previous reading
    memory: int | None = None  # bytes in use
    memory_total: int | None = None  # bytes
    temperature: float | None = None  # °C
    watts: float | None = None


ReadLoad = Callable[[], DeviceLoad]


def load_reader(device: str, proc: Path = Path("/proc")) -> ReadLoad:
    """A reader for `cpu` or `gpu:N`, numbered as by nvidia-smi. Neither this nor the reader raises."""
    kind, _, index = device.partition(":")
    if kind != "gpu":
        return _cpu_reader(proc)
    try:
        import pynvml

        pynvml.nvmlInit()
        return _gpu_reader(pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(index)))
    except Exception:  # no library, no driver, no such card
        return DeviceLoad


class LoadMonitor:
    """Reads the load at intervals, in a daemon thread."""

    def __init__(self, read: ReadLoad, every_s: float = INTERVAL_S) -> None:
        self._read, self._every_s = read, every_s
        self._lock = threading.Lock()
        self._busy: list[float] = []
        self._memory: list[int] = []
        threading.Thread(target=self._run, name="gauge", daemon=True).start()

    def collect(self) -> tuple[float | None, int | None]:
        """(mean busy fraction, maximum of bytes in use) since the previous call."""
        self._sample()
        with self._lock:
            busy, memory = self._busy, self._memory
            self._busy, self._memory = [], []
        return (sum(busy) / len(busy) if busy else None), max(memory, default=None)

    def _run(self) -> None:
        while True:
            time.sleep(self._every_s)
            self._sample()

    def _sample(self) -> None:
        with self._lock:
            found = self._read()
            if found.busy is not None:
                self._busy.append(found.busy)
            if found.memory is not None:
                self._memory.append(found.memory)


def _gpu_reader(nvml: Any, handle: Any) -> ReadLoad:
    def asked(question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Exception:  # some GPUs do not report everything
            return None

    def read() -> DeviceLoad:
        busy = asked(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
        memory = asked(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        return DeviceLoad(
            busy=busy,
            memory=None if memory is None else int(memory.used),
            memory_total=None if memory is None else int(memory.total),
            temperature=asked(lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
            watts=asked(lambda: nvml.nvmlDeviceGetPowerUsage(handle) * MILLI),
        )

    return read


def _cpu_reader(proc: Path) -> ReadLoad:
    before = _read_ticks(proc)

    def read() -> DeviceLoad:
        nonlocal before
        now, total, free = _read_ticks(proc), None, None
        busy = _busy_share(before, now) if before and now else None
        before = now or before
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
            sizes = {words[0]: int(words[1]) * KIB for words in lines}
            total, free = sizes["MemTotal:"], sizes["MemAvailable:"]
        memory = None if total is None or free is None else total - free
        return DeviceLoad(busy=busy, memory=memory, memory_total=total)

    return read


def _busy_share(before: Ticks, now: Ticks) -> float | None:
    """None if no time has passed. Linux sometimes counts idle or waiting time backwards (proc(5)): then it has not
    moved, as in `top`. Otherwise a machine could be busy for more than the whole time.
    """
    moved = [max(new - old, 0) for old, new in zip(before, now, strict=True)]
    busy = sum(moved) - moved[IDLE] - moved[WAITING]
    return busy / sum(moved) if any(moved) else None


def _read_ticks(proc: Path) -> Ticks | None:
    """Since the machine started, over its cores."""
    try:
        first = (proc / "stat").read_text().partition("\n")[0].split()
        user, nice, system, idle, waiting, *others = (int(word) for word in first[1:9])  # guests are users, too
    except (OSError, ValueError):
        return None
    return user, nice, system, idle, waiting, *others
