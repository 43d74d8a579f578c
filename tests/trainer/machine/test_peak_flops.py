"""The device's peak: of cards by their own names, and of nothing that a training could exceed."""

from __future__ import annotations

import pytest

from trainer.machine.peak_flops import peak_flops


@pytest.mark.parametrize(
    ("device", "precision", "flops"),
    [
        ("NVIDIA H200", "bfloat16", 989e12),
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756e12),
        ("NVIDIA A100-SXM4-80GB", "float32", 156e12),
        ("NVIDIA A10", "bfloat16", 125e12),
        ("NVIDIA GeForce RTX 4090", "bfloat16", 165e12),
    ],
)
def test_a_known_card_has_its_data_sheet_s_peak(device: str, precision: str, flops: float):
    assert peak_flops(device, precision) == flops


@pytest.mark.parametrize(("device", "precision"), [("NVIDIA B300", "bfloat16"), ("Tesla T4", "bfloat16")])
def test_nothing_is_made_up_for_a_card_or_a_precision_that_is_not_in_the_table(device: str, precision: str):
    assert peak_flops(device, precision) is None


@pytest.mark.parametrize("device", ["cpu", "Tesla V100-SXM2-16GB", "Tesla T4", "NVIDIA GeForce RTX 3090", "NVIDIA L4"])
def test_a_device_whose_float32_convolutions_can_exceed_its_peak_has_none(device: str):
    assert peak_flops(device, "float32") is None
