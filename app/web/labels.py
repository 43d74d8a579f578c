"""Labels of statuses, failures, concerns, outcomes and epochs on pages."""

from __future__ import annotations

STATUSES = {
    "queued": "Queued",
    "starting": "Starting",
    "running": "Running",
    "paused": "Paused",
    "succeeded": "Finished",
    "failed": "Failed",
    "cancelled": "Cancelled",
}

# Beside a run's status, and as the title of its failure.
FAILURES = {
    "recipe": "invalid recipe",
    "dataset_missing": "data set missing",
    "dataset_damaged": "data set damaged",
    "dataset_changed": "data set changed",
    "diverged": "diverged",
    "out_of_memory": "out of device memory",
    "out_of_host_memory": "out of memory",
    "device_lost": "device lost",
    "input_broken": "data loader process killed",
    "killed": "trainer killed",
    "hang": "hung",
    "lost": "worker lost",
    "error": "trainer crashed",
}

# Beside the status of a finished run: app.metrics.concerns.
CONCERNS = {
    "at_chance": "no better than guessing",
    "loss_ran_away": "loss ran away",
    "best_early": "best epoch was early",
}

OUTCOMES = {
    "succeeded": "finished",
    "failed": "failed",
    "cancelled": "cancelled",
    "paused": "paused",
    "released": "returned to queue",
    "lost": "lost",
}


def epoch_label(epoch: int, best_epoch: int | None, last_epoch: int) -> str:
    """`best epoch (2)`, `last epoch (5)`, `best and last epoch (5)`, or `epoch 3`: which one a number or file is of."""
    titles = [title for title, own in (("best", best_epoch), ("last", last_epoch)) if own == epoch]
    return f"{' and '.join(titles)} epoch ({epoch})" if titles else f"epoch {epoch}"
