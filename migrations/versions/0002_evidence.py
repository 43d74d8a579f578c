"""What an attempt's first steps really did, as the trainer measured it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("evidence", sa.JSON(), nullable=False, server_default="[]"))
