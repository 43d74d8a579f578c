"""What verdicts need to know of a run, pinned baselines, and settles (repeats that stop when decided)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.records.sqlite import UtcDateTime

revision = "0011"
down_revision = "0010"

# `started` of the attempt that set the run's train_images.
BACKFILL = """
WITH latest AS (SELECT run_id, started, max(number) FROM attempts WHERE started IS NOT NULL GROUP BY run_id)
UPDATE runs SET
  val_images = json_extract(latest.started, '$.val_images'),
  classes = json_array_length(latest.started, '$.classes'),
  images_per_epoch = CASE
    WHEN json_extract(recipe, '$.last_batch') = 'drop' OR json_extract(recipe, '$.mixup.pairing') = 'disjoint'
    THEN json_extract(latest.started, '$.steps_per_epoch') * json_extract(recipe, '$.batch_size')
    ELSE train_images END
FROM latest WHERE latest.run_id = runs.id AND train_images IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("val_images", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("classes", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("images_per_epoch", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("concern", sa.String(16), nullable=True))
    op.add_column("runs", sa.Column("settle_id", sa.Integer(), nullable=True))
    op.execute(BACKFILL)
    op.create_table(
        "baselines",
        sa.Column("dataset", sa.String(80), nullable=False),
        sa.Column("recipe_hash", sa.String(64), nullable=False),
        sa.Column("pinned_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", name="pk_baselines"),
    )
    op.create_table(
        "settles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("baseline", sa.String(64), nullable=False),
        sa.Column("candidate", sa.String(64), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("target", sa.Double(), nullable=False),
        sa.Column("dataset", sa.String(80), nullable=False),
        sa.Column("fingerprint", sa.String(80), nullable=False),
        sa.Column("hardware", sa.String(120), nullable=False),
        sa.Column("margin", sa.Double(), nullable=True),
        sa.Column("max_seeds", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("verdict", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_settles"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_settles_status", "settles", ["status"])
    op.create_index("ix_runs_settle_id", "runs", ["settle_id"])
