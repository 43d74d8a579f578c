"""What pages call statuses, failures and outcomes. Must not know anything else."""

from __future__ import annotations

WORDS = {
    "queued": "Queued",
    "starting": "Starting",
    "running": "Running",
    "paused": "Paused",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "cancelled": "Cancelled",
}

# Beside a run's status, and at the head of what happened to it.
FAILURES = {
    "recipe": "recipe mistake",
    "dataset_missing": "data set missing",
    "dataset_damaged": "data set damaged",
    "dataset_changed": "data set changed",
    "diverged": "diverged",
    "out_of_memory": "out of device memory",
    "out_of_host_memory": "out of memory",
    "device_lost": "device lost",
    "input_broken": "picture process killed",
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
    "released": "handed back",
    "lost": "lost",
}
