"""How surely a net took each validation picture for what it did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("predictions", sa.Column("confidences", sa.Text(), nullable=True))
