"""The energy used by a GPU in Wh, from NVIDIA's management library (NVML).

GPUs since Volta have an energy counter; for older ones, the power is read ten times a second and summed up.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

INTERVAL_S = 0.1  # between two readings of the power
JOULES_PER_WH = 3600.0

ReadEnergy = Callable[[], float]  # since the meter was made


def energy_meter(
    device: str, clock: Callable[[], float] = time.perf_counter, sleep: Callable[[float], None] = time.sleep
) -> ReadEnergy | None:
    """The meter of `gpu:N`, numbered as by nvidia-smi. None: a CPU, no NVML, no such GPU, or no readings from it."""
    kind, _, index = device.partition(":")
    if kind != "gpu":
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(index))
        return _counter_reader(pynvml, handle) or _sampled_reader(pynvml, handle, clock, sleep)
    except Exception:  # any NVML error means that nothing can be measured
        return None


def _counter_reader(pynvml: Any, handle: Any) -> ReadEnergy | None:
    try:
        began = latest = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)  # mJ since the driver was loaded
    except Exception:  # an older card
        return None

    def wh() -> float:
        nonlocal latest
        with contextlib.suppress(Exception):  # a failed reading repeats the previous one: it must not end a run
            latest = pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        return float(latest - began) / 1000 / JOULES_PER_WH

    return wh


def _sampled_reader(pynvml: Any, handle: Any, clock: Callable[[], float], sleep: Callable[[float], None]) -> ReadEnergy:
    pynvml.nvmlDeviceGetPowerUsage(handle)  # raises if it cannot be read
    return PowerSampler(lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000, clock=clock, sleep=sleep).wh


class PowerSampler:
    """Integrates regular power readings, in a daemon thread."""

    def __init__(
        self,
        watts: Callable[[], float],
        every_s: float = INTERVAL_S,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._watts, self._every_s, self._clock, self._sleep = watts, every_s, clock, sleep
        self._joules, self._latest, self._at = 0.0, watts(), clock()
        self._lock = threading.Lock()
        threading.Thread(target=self._run, name="power", daemon=True).start()

    def wh(self) -> float:
        with self._lock:
            return (self._joules + self._latest * (self._clock() - self._at)) / JOULES_PER_WH

    def _run(self) -> None:
        while True:
            self._sleep(self._every_s)
            try:
                watts = self._watts()
            except Exception:  # a failed reading repeats the previous one
                watts = self._latest
            with self._lock:
                now = self._clock()
                self._joules += (watts + self._latest) / 2 * (now - self._at)
                self._latest, self._at = watts, now
