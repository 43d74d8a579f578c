"""The confidence of each prediction of a validation image."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("predictions", sa.Column("confidences", sa.Text(), nullable=True))
