"""What a leaderboard asks of a run without its epochs: hardware, data, when it was first how good; energy and money."""

from __future__ import annotations

import json
from itertools import groupby

import numpy as np
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ROW = np.dtype([("epoch", "<f4"), ("elapsed", "<f8"), ("energy", "<f4"), ("accuracy", "<f8")])
SHOWN = """
  SELECT e.run_id, e.epoch, e.seconds, e.val_accuracy FROM epochs e JOIN runs r ON r.id = e.run_id
  WHERE e.attempt = (SELECT max(o.attempt) FROM epochs o
                     WHERE o.run_id = e.run_id AND o.epoch = e.epoch AND o.attempt >= r.trail_from)
  ORDER BY e.run_id, e.epoch"""
STARTED = """
  SELECT a.run_id, a.worker, a.started, a.resumed_from_epoch FROM attempts a JOIN runs r ON r.id = a.run_id
  WHERE a.started IS NOT NULL AND a.number = (SELECT max(o.number) FROM attempts o
                                              WHERE o.run_id = a.run_id AND o.started IS NOT NULL)"""

KNOWN = """
  UPDATE runs SET worker = :worker, hardware = :hardware, fingerprint = :fingerprint, version = :version,
                  train_images = :images, is_resumed = :resumed WHERE id = :id"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("energy_wh", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("milestones", sa.LargeBinary(), nullable=False, server_default=sa.text("x''")))
    op.add_column("runs", sa.Column("worker", sa.String(length=120), nullable=True))
    op.add_column("runs", sa.Column("hardware", sa.String(length=120), nullable=True))
    op.add_column("runs", sa.Column("fingerprint", sa.String(length=80), nullable=True))
    op.add_column("runs", sa.Column("version", sa.String(length=40), nullable=True))
    op.add_column("runs", sa.Column("train_images", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("is_resumed", sa.Boolean(), nullable=False, server_default="0"))
    op.add_column("epochs", sa.Column("energy_wh", sa.Double(), nullable=True))
    op.add_column("workers", sa.Column("price_per_hour", sa.Double(), nullable=True))
    op.create_index("ix_runs_board", "runs", ["dataset", "fingerprint", "hardware", "status", "failure"])
    op.create_table(
        "predictions",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("packed", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_predictions_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_predictions")),
    )
    op.execute("UPDATE runs SET recipe = jsonb(recipe)")
    connection = op.get_bind()
    for run_id, worker, started, resumed in connection.execute(sa.text(STARTED)).all():
        said = json.loads(started)
        facts = said.get("environment", {})
        device = facts.get("device")
        values = {
            "id": run_id,
            "worker": worker,
            "hardware": f"cpu: {facts.get('cpu') or 'unknown'}" if device == "cpu" else device,
            "fingerprint": facts.get("dataset_fingerprint"),
            "version": facts.get("pitwall"),
            "images": said.get("train_images"),
            "resumed": bool(resumed or said.get("resumed_at_step")),
        }
        connection.execute(sa.text(KNOWN), values)
    shown = connection.execute(sa.text(SHOWN)).all()
    for run_id, rows in groupby(shown, key=lambda row: row.run_id):
        packed = _milestones([(row.epoch, row.seconds, row.val_accuracy) for row in rows])
        connection.execute(sa.text("UPDATE runs SET milestones = :packed WHERE id = :id"),
                           {"packed": packed, "id": run_id})  # fmt: skip


def _milestones(rows: list[tuple[int, float, float | None]]) -> bytes:
    elapsed, best, packed = 0.0, -1.0, b""
    for epoch, seconds, accuracy in rows:
        elapsed += seconds
        if accuracy is not None and accuracy > best:
            best, packed = accuracy, packed + np.array((epoch, elapsed, np.nan, accuracy), ROW).tobytes()
    return packed
