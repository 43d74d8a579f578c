"""An index of epochs by number: a list sorted by accuracy at an epoch reads neighbours, not two pages for each run."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("ix_epochs_at", "epochs", ["epoch", "run_id", "attempt", "val_accuracy", "tta_accuracy"])
