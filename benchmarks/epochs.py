"""Synthetic epoch events, so that the app's benchmarks need no training."""

from __future__ import annotations

from typing import Any


def epoch_of(epoch: int) -> dict[str, Any]:
    share = epoch / (epoch + 10)
    return {
        "event": "epoch",
        "epoch": epoch,
        "train_loss": 1 - share,
        "train_accuracy": share,
        "val_loss": 1 - share,
        "val_accuracy": share,
        "learning_rate": 0.1,
        "seconds": 1.0,
    }
