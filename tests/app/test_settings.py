"""Settings that are read wrong would train on the wrong device or listen where nobody is answered."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.cli.up import address
from app.settings import Settings
from trainer.machine.devices import list_devices, parse_device


def test_devices_are_named_one_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PITWALL_WORKERS", "gpu:0, gpu:1")

    assert Settings().workers == "gpu:0,gpu:1"


@pytest.mark.parametrize("text", ["", "cuda:0", "gpu", "gpu:", "gpu:x", "cpu;rm"])
def test_a_word_that_names_no_device_is_refused(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PITWALL_WORKERS", text)

    with pytest.raises(ValidationError, match="is not a device"):
        Settings()
    with pytest.raises(ValueError, match="is not a device"):
        parse_device(text)


def test_where_there_is_no_gpu_the_cpu_is_the_device():
    assert list_devices(visible="") == ["cpu"]


@pytest.mark.parametrize(
    ("host", "typed"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("192.168.1.5", "http://192.168.1.5:8000"),
    ],
)
def test_the_address_that_is_told_can_be_typed_and_is_let_in(host: str, typed: str):
    assert address(host, 8000) == typed
    name = typed.removeprefix("http://").removesuffix(":8000")
    assert name in Settings(host=host).hosts
    assert not {"0.0.0.0", "[::]"} & Settings(host=host).hosts
