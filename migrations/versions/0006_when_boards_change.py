"""The index of boards counts attempts, too: so whether a board has changed is seen without reading its runs."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.drop_index("ix_runs_board", "runs")
    op.create_index("ix_runs_board", "runs", ["dataset", "fingerprint", "hardware", "status", "failure", "attempt"])
