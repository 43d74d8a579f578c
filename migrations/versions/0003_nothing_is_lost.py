"""Checkpoints and the files handed in, names of failures, what a run survived."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("runs", sa.Column("trail", sa.String(length=16), nullable=False, server_default=""))
    op.execute("UPDATE runs SET trail = lower(hex(randomblob(8)))")
    op.add_column("runs", sa.Column("trail_from", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("runs", sa.Column("kept_for", sa.String(length=120), nullable=True))
    op.add_column("runs", sa.Column("strikes", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("forced", sa.Boolean(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("failure", sa.String(length=32), nullable=True))
    op.add_column("attempts", sa.Column("failure", sa.String(length=32), nullable=True))
    op.add_column("attempts", sa.Column("checkpoint_epoch", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("checkpoint_step", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("trouble", sa.Text(), nullable=True))
    op.add_column("workers", sa.Column("trouble", sa.Text(), nullable=True))
    op.create_table(
        "artifacts",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_artifacts_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_artifacts")),
    )
