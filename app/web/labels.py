"""Labels of statuses, failures and outcomes on pages."""

from __future__ import annotations

STATUSES = {
    "queued": "Queued",
    "starting": "Starting",
    "running": "Running",
    "paused": "Paused",
    "succeeded": "Succeeded",
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

OUTCOMES = {
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "paused": "paused",
    "released": "returned to queue",
    "lost": "lost",
}
