"""Validation with test-time augmentation, the plain accuracy of runs that count with it, and what they computed in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("epochs", sa.Column("tta_accuracy", sa.Double(), nullable=True))
    op.add_column("epochs", sa.Column("tta_seconds", sa.Double(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("last_plain_accuracy", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("best_plain_accuracy", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("precision", sa.String(16), nullable=True))
    op.add_column("runs", sa.Column("tta_seconds", sa.Double(), nullable=False, server_default="0"))
