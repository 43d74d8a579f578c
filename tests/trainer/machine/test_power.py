"""Wh of a GPU from its own counter, or summed up from its power. NVIDIA's library is played by a few lines."""

from __future__ import annotations

import sys
import threading
import time
from types import ModuleType
from typing import Any

import pytest

from trainer.machine.power import PowerSampler, energy_meter


class Card:
    """What NVIDIA's library says of one card; None: it does not know."""

    def __init__(self) -> None:
        self.millijoules: int | None = 0
        self.milliwatts: int | None = 0

    def energy(self, handle: str) -> int:
        if self.millijoules is None:
            raise RuntimeError("Not Supported")
        return self.millijoules

    def power(self, handle: str) -> int:
        if self.milliwatts is None:
            raise RuntimeError("Not Supported")
        return self.milliwatts


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """The second card of this machine."""
    made = Card()

    def handle_of(index: int) -> str:
        if index != 1:
            raise RuntimeError("Invalid Argument")
        return "the card"

    library: Any = ModuleType("pynvml")
    library.nvmlInit = lambda: None
    library.nvmlDeviceGetHandleByIndex = handle_of
    library.nvmlDeviceGetTotalEnergyConsumption = made.energy
    library.nvmlDeviceGetPowerUsage = made.power
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return made


class Clock:
    """Seconds pass when a test says so: `passes(1.0)` lets one pass and waits for the reading at its end."""

    def __init__(self) -> None:
        self._now, self._goes_on, self._waits = 50.0, threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._waits.release()
        self._goes_on.acquire()  # for ever once the test is over

    def passes(self, seconds: float) -> None:
        assert self._waits.acquire(timeout=20)
        self._now += seconds
        self._goes_on.release()
        assert self._waits.acquire(timeout=20)
        self._waits.release()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("device", ["cpu", "cpu:0", "", "gpu", "gpu:", "gpu:x", "gpu:0", "tpu:1"])
def test_what_is_no_card_of_this_machine_has_no_meter(card: Card, device: str):
    assert energy_meter(device) is None


def test_without_nvidias_library_there_is_no_meter(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)

    assert energy_meter("gpu:1") is None


def test_a_card_that_says_nothing_has_no_meter(card: Card):
    card.millijoules = card.milliwatts = None

    assert energy_meter("gpu:1") is None


def test_a_cards_counter_becomes_watt_hours_since_the_meter_was_made(card: Card):
    card.millijoules = 123_456_789
    used = energy_meter("gpu:1")
    assert used is not None
    assert used() == 0.0

    card.millijoules += 3_600_000  # 1 Wh in mJ
    assert used() == pytest.approx(1.0)
    card.millijoules += 900_000
    assert used() == pytest.approx(1.25)
    card.millijoules = None
    assert used() == pytest.approx(1.25), "a reading that fails must not end a run"


def test_two_meters_of_one_card_begin_each_at_its_own_time(card: Card):
    card.millijoules = 0
    first = energy_meter("gpu:1")
    card.millijoules = 7_200_000
    second = energy_meter("gpu:1")
    card.millijoules = 10_800_000

    assert first is not None and second is not None
    assert first() == pytest.approx(3.0)
    assert second() == pytest.approx(1.0)


def test_the_power_of_an_older_card_is_summed_up(card: Card, clock: Clock):
    card.millijoules, card.milliwatts = None, 100_000
    used = energy_meter("gpu:1", clock, clock.sleep)
    assert used is not None
    assert used() == 0.0

    clock.passes(36.0)
    assert used() == pytest.approx(1.0), "100 W for 36 s"
    card.milliwatts = 300_000
    clock.passes(36.0)
    assert used() == pytest.approx(1.0 + 2.0), "rising from 100 to 300 W"


def test_a_reading_that_fails_is_as_the_one_before(card: Card, clock: Clock):
    card.millijoules, card.milliwatts = None, 200_000
    used = energy_meter("gpu:1", clock, clock.sleep)
    assert used is not None
    card.milliwatts = None
    clock.passes(18.0)
    clock.passes(18.0)

    assert used() == pytest.approx(2.0)


def test_a_sampler_reads_by_itself_again_and_again():
    begins, read = time.perf_counter(), threading.Event()
    readings: list[float] = []

    def watts() -> float:
        readings.append(3600.0)
        if len(readings) == 6:
            read.set()
        if len(readings) > 6:
            threading.Event().wait()  # its thread reads no more
        return 3600.0

    sampler = PowerSampler(watts, every_s=0.01)
    assert read.wait(20)
    used, took = sampler.wh(), time.perf_counter() - begins

    assert 0.04 <= used <= took, "3600 W: a Wh each second"
