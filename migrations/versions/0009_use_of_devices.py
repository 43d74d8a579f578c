"""How busy the device was in each epoch, and what it held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("epochs", sa.Column("busy", sa.Double(), nullable=True))
    op.add_column("epochs", sa.Column("memory_bytes", sa.Integer(), nullable=True))
