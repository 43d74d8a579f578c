"""Packed milestones give the same answer for any target as the whole curve."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.metrics import milestones
from app.metrics.progress import time_to_target
from app.records.models import Epoch
from tests.app.support.cast import NOW

shares = st.one_of(st.none(), st.integers(0, 20).map(lambda n: n / 20), st.floats(0, 1))
watt_hours = st.one_of(st.none(), st.floats(0, 100, width=32))
curves = st.lists(st.tuples(shares, st.floats(0, 1000), watt_hours), max_size=12)
targets = st.one_of(st.integers(1, 20).map(lambda n: n / 20), st.floats(0.001, 1))
Epochs = list[tuple[float | None, float, float | None]]


def rows_of(values: Epochs) -> list[Epoch]:
    return [
        Epoch(run_id=1, attempt=1, epoch=number, val_accuracy=share, seconds=seconds, energy_wh=energy, at=NOW)
        for number, (share, seconds, energy) in enumerate(values, 1)
    ]


def search(target: float, shown: list[Epoch]) -> tuple[float, float, float, float]:
    """Epoch, seconds, Wh and share of the first epoch at or above the target, by a linear search."""
    for index, row in enumerate(shown):
        if row.val_accuracy is not None and row.val_accuracy >= target:
            so_far = shown[: index + 1]
            used = [math.nan if one.energy_wh is None else one.energy_wh for one in so_far]
            energy = math.fsum(used)
            return row.epoch, sum(one.seconds for one in so_far), energy, row.val_accuracy
    return (math.nan,) * 4


@given(runs_values=st.lists(curves, max_size=6), target=targets)
def test_the_first_epoch_at_a_target_is_the_same_as_in_the_whole_curve(runs_values: list[Epochs], target: float):
    runs = [rows_of(one) for one in runs_values]

    found = milestones.find_first_at(target, [milestones.pack_milestones(one) for one in runs])

    assert found.dtype == milestones.ROW and len(found) == len(runs)
    for one, shown in zip(found.tolist(), runs, strict=True):
        np.testing.assert_allclose(one, search(target, shown), rtol=1e-6)
        time = time_to_target(target, shown)
        assert math.isnan(one[1]) if time is None else one[1] == time


@given(values=curves)
def test_appending_epochs_packs_the_same_as_the_whole_curve(values: Epochs):
    packed, elapsed, energy = b"", 0.0, 0.0 if values else None
    for number, (share, seconds, used) in enumerate(values, 1):
        elapsed, energy = elapsed + seconds, milestones.add_energy(energy, used)
        packed = milestones.append_milestone(packed, number, elapsed, energy, share)

    assert packed == milestones.pack_milestones(rows_of(values))


@given(values=curves)
def test_only_epochs_better_than_all_before_are_milestones(values: Epochs):
    kept = milestones.unpack_milestones(milestones.pack_milestones(rows_of(values)))

    best, better = -1.0, []
    for number, (share, _, _) in enumerate(values, 1):
        if share is not None and share > best:
            best = share
            better.append((number, share))
    assert [(row["epoch"], row["accuracy"]) for row in kept] == better


def test_a_target_is_reached_by_equality_and_missed_by_the_smallest_step():
    packed = milestones.pack_milestones(rows_of([(0.5, 2.0, None), (0.94, 3.0, None)]))

    assert milestones.find_first_at(0.94, [packed])["elapsed"].tolist() == [5.0]
    assert np.isnan(milestones.find_first_at(np.nextafter(0.94, 1), [packed])["elapsed"]).all()


def test_energy_is_known_as_long_as_every_epoch_was_measured():
    packed = milestones.pack_milestones(
        rows_of([(0.2, 1.0, 0.5), (0.4, 1.0, 0.25), (0.6, 1.0, None), (0.8, 1.0, 0.25)])
    )

    assert milestones.unpack_milestones(packed)["energy"][:2].tolist() == [0.5, 0.75]
    assert np.isnan(milestones.unpack_milestones(packed)["energy"][2:]).all()
    assert (milestones.add_energy(None, 1.0), milestones.add_energy(1.5, None), milestones.add_energy(1.5, 1.0)) == (
        None,
        None,
        2.5,
    )


def test_nothing_is_found_without_runs_or_epochs():
    assert len(milestones.find_first_at(0.5, [])) == 0
    assert milestones.pack_milestones([]) == b""
    assert np.isnan(milestones.find_first_at(0.5, [b"", b""])["epoch"]).tolist() == [True, True]


def test_results_are_in_the_order_of_the_runs():
    reaches = [
        milestones.pack_milestones(rows_of([(0.5, seconds, None), (0.9, seconds, None)])) for seconds in (1.0, 2.0)
    ]
    misses = milestones.pack_milestones(rows_of([(0.7, 9.0, 1.0)]))

    found = milestones.find_first_at(0.8, [b"", reaches[0], misses, reaches[1], misses])

    assert np.nan_to_num(found["elapsed"], nan=-1.0).tolist() == [-1.0, 2.0, -1.0, 4.0, -1.0]
