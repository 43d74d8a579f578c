"""What verdicts need to know of a run, pinned baselines, and settles (repeats that stop when decided)."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa
from alembic import op

from app.records.sqlite import UtcDateTime

revision = "0011"
down_revision = "0010"

# Of the index behind the folded list.
FOLDED_BY = ("recipe_hash", "hardware", "fingerprint", "status", "seed", "version")
SPREAD_OF = ("last_val_accuracy", "best_val_accuracy", "elapsed_seconds")

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

# A row for each shown epoch of each finished run. SQLite takes the other columns from the row of the highest attempt.
CURVES = """
SELECT runs.id, runs.val_images, runs.classes, predictions.packed, epochs.epoch, max(epochs.attempt), train_loss,
  val_loss, val_accuracy, coalesce(tta_accuracy, val_accuracy) AS accuracy
FROM runs JOIN epochs ON epochs.run_id = runs.id AND epochs.attempt >= runs.trail_from
LEFT JOIN predictions ON predictions.run_id = runs.id
WHERE status = 'succeeded' AND val_images > 0 AND classes > 1
GROUP BY runs.id, epochs.epoch ORDER BY runs.id, epochs.epoch
"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("val_images", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("classes", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("images_per_epoch", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("concern", sa.String(16), nullable=True))
    op.add_column("runs", sa.Column("settle_id", sa.Integer(), nullable=True))
    op.execute(BACKFILL)
    _find_concerns()
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
        sa.Column("comparisons", sa.Integer(), nullable=False),
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
    op.drop_index("ix_runs_recipe_hash", "runs")
    op.create_index("ix_runs_folds", "runs", [*FOLDED_BY, *SPREAD_OF])


def _find_concerns() -> None:
    """As app.metrics.concerns did when this was written."""
    connection = op.get_bind()
    rows = connection.execute(sa.text(CURVES))
    found = [{"run": run, "concern": _concern(list(curve))} for run, curve in groupby(rows, key=lambda row: row.id)]
    found = [one for one in found if one["concern"]]
    if found:
        connection.execute(sa.text("UPDATE runs SET concern = :concern WHERE id = :run"), found)


def _concern(curve: Sequence[Any]) -> str | None:
    images, classes = curve[-1].val_images, curve[-1].classes
    accuracies = [(row.epoch, row.accuracy) for row in curve if row.accuracy is not None]
    if accuracies and (_predicts_one_class(curve[-1].packed) or _is_at_chance(accuracies[-1][1], images, classes)):
        return "at_chance"
    validated = [row.val_loss for row in curve if row.val_accuracy is not None]
    if any(_has_run_away(losses, classes) for losses in ([row.train_loss for row in curve], validated)):
        return "loss_ran_away"
    return "best_early" if _is_best_early(accuracies, images) else None


def _predicts_one_class(packed: str | None) -> bool:
    try:
        raw = base64.b64decode(packed or "", validate=True)
        return len(set(np.frombuffer(zlib.decompress(raw[3:]), raw[:3].decode()).tolist())) == 1
    except (binascii.Error, zlib.error, ValueError, TypeError):
        return False


def _is_at_chance(accuracy: float, images: int, classes: int) -> bool:
    guess = 1 / classes
    halfway, right = (1 + guess) / 2, round(accuracy * images)
    if accuracy >= halfway:
        return False
    from scipy import stats

    return bool(stats.binom.cdf(right, images, halfway) <= 0.05 and stats.binom.sf(right - 1, images, guess) > 0.05)


def _has_run_away(losses: Sequence[float | None], classes: int) -> bool:
    known = [loss for loss in losses if loss is not None]
    if not known:
        return False
    last = losses[-1]
    return last is None or last > max(5 * min(known), 3 * math.log(classes))


def _is_best_early(accuracies: Sequence[tuple[int, float]], images: int) -> bool:
    if not accuracies:
        return False
    epochs, shares = (np.array(column) for column in zip(*accuracies, strict=True))
    best, first_late = int(np.argmax(shares)), epochs[-1] * 0.75
    if epochs[best] > first_late or epochs[-1] - epochs[best] < 3:
        return False
    highest, late = float(shares[best]), float(shares[epochs > first_late].max())
    changes = np.diff(shares[best:])
    spread = 1.4826 * float(np.median(np.abs(changes - np.median(changes)))) / math.sqrt(2)
    variance = 2 * spread**2 + (highest * (1 - highest) + late * (1 - late)) / images
    return highest - late > 3 * math.sqrt(variance)
