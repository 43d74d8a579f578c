"""What a device is busy with: of this machine's own /proc, and of files as Linux writes them."""

from __future__ import annotations

from pathlib import Path

from trainer.machine.device_load import DeviceLoad, LoadMonitor, load_reader

MEMORY = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    4000 kB\nHugePages_Total:       0\n"


def ticks(folder: Path, user: int, idle: int, waiting: int = 0) -> None:
    (folder / "stat").write_text(f"cpu  {user} 0 0 {idle} {waiting} 0 0 0 999 0\ncpu0 1 1 1 1\n")


def test_busy_is_the_share_of_the_time_since_the_reading_before(tmp_path: Path):
    (tmp_path / "meminfo").write_text(MEMORY)
    ticks(tmp_path, 100, 900)
    read = load_reader("cpu", tmp_path)
    ticks(tmp_path, 130, 960, waiting=10)
    assert read() == DeviceLoad(busy=0.3, memory=12_000 * 1024, memory_total=16_000 * 1024)
    assert read().busy is None, "no time has passed"


def test_a_counter_that_goes_backwards_makes_nothing_busier_than_always(tmp_path: Path):
    (tmp_path / "meminfo").write_text(MEMORY)
    ticks(tmp_path, 100, 900, waiting=50)
    read = load_reader("cpu", tmp_path)
    ticks(tmp_path, 200, 900, waiting=48)  # as Linux says at times: the waiting went to another core
    assert read().busy == 1.0
    ticks(tmp_path, 230, 880, waiting=108)
    assert read().busy == 1 / 3


def test_what_cannot_be_read_is_not_known_and_nothing_is_raised(tmp_path: Path):
    assert load_reader("cpu", tmp_path)() == DeviceLoad()
    (tmp_path / "stat").write_text("nonsense\n")
    (tmp_path / "meminfo").write_text("MemTotal: many kB\n")
    assert load_reader("cpu", tmp_path)() == DeviceLoad()
    assert load_reader("gpu:7")() == DeviceLoad(), "no such card here"


def test_of_this_machine_it_says_something_possible():
    read = load_reader("cpu")
    sum(number * number for number in range(300_000))
    found = read()
    assert found.busy is None or 0 <= found.busy <= 1
    assert found.memory is not None and found.memory_total is not None
    assert 0 < found.memory < found.memory_total


def test_a_watch_says_the_mean_load_and_the_most_memory_since_it_was_asked_before():
    readings = iter(
        [DeviceLoad(0.2, 5), DeviceLoad(0.4, 9), DeviceLoad(None, None), DeviceLoad(1.0, 7), DeviceLoad(0.0, None)]
    )
    watch = LoadMonitor(lambda: next(readings), every_s=1000)
    watch._sample()
    watch._sample()
    busy, memory = watch.collect()
    assert (round(busy or 0, 6), memory) == (0.3, 9)
    assert watch.collect() == (1.0, 7)
    assert watch.collect() == (0.0, None)
