"""What the benchmarks of training make of their figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.peers.airbench import results
from benchmarks.peers.contenders import Contender, Measured, NotMeasured, fit, measured, pitwall, recipe_for
from benchmarks.peers.twins import OURS, THEIRS, interval, read, summary
from benchmarks.training.train import EAGER, FIT, Case, table
from trainer.presets import PRESETS
from trainer.presets.preset import with_parts
from trainer.recipe import Recipe, recipe_hash


def row(images_per_second: float) -> Measured:
    return Measured(images_per_second, peak_mib=1000, accuracy=0.5, seconds=9, cores=2)


def test_a_ratio_is_the_median_of_the_ratios_within_a_repeat_and_what_is_missing_says_why():
    case = Case(
        Recipe(batch_size=128),
        done={
            "ours": {0: row(100), 1: row(10), 2: row(300)},
            EAGER: {0: row(50), 1: row(10), 2: row(100)},  # a slow repeat is slow for both
        },
        missing={FIT: "keras is not installed"},
    )

    _, _, ours, _, missing = table([case], ["ours", EAGER, FIT])

    assert ours == "| ours | 64 | 128 | 100 | 2.00 | – | 1,000 | 50.0% | 2.00 |"
    assert missing == f"| {FIT} | 64 | 128 | not measured | | | | | keras is not installed |"


def test_a_backend_or_a_knob_that_is_not_there_is_said_and_not_measured():
    with pytest.raises(NotMeasured, match="abacus is not installed"):
        recipe_for(pitwall("abacus", "imgaug"), Recipe())
    with pytest.raises(NotMeasured, match="augment_engine"):
        recipe_for(pitwall("tensorflow", "pencil"), Recipe())
    assert recipe_for(pitwall("tensorflow", "imgaug"), Recipe(seed=3)).seed == 3
    assert recipe_for(fit(), Recipe()) == Recipe()


def test_a_contender_that_fails_is_not_measured_and_its_last_words_are_told(tmp_path: Path):
    broken = Contender("broken", ("python3", "-c", "raise SystemExit('no such device')"))

    with pytest.raises(NotMeasured, match="exit code 1: no such device"):
        measured(broken, Recipe(), tmp_path)


def test_an_epoch_s_rate_leaves_the_first_epoch_out(tmp_path: Path):
    said = "\n".join(
        json.dumps({"event": "epoch", "seconds": seconds, "val_accuracy": 0.25}) for seconds in (50, 2, 2, 4)
    )
    quick = Contender("quick", ("python3", "-c", f"print('''{said}''')"))
    recipe = Recipe.model_validate({"dataset": {"train_limit": 300}, "batch_size": 100, "last_batch": "drop"})

    found = measured(quick, recipe, tmp_path)

    assert (found.images_per_second, found.accuracy) == (150, 0.25)
    assert found.peak_mib > 1


def test_twins_go_on_where_their_file_stops_and_other_recipes_do_not_count(tmp_path: Path):
    recipe, file = PRESETS["page-2018-small"].recipe, tmp_path / "twins.jsonl"
    assert read(file, recipe) == {OURS: {}, THEIRS: {}}
    other = with_parts(recipe, epochs=3)
    rows = [(OURS, 0, 0.61, recipe), (OURS, 1, 0.63, recipe), (THEIRS, 0, 0.62, recipe), (THEIRS, 1, 0.9, other)]
    file.write_text(
        "".join(
            json.dumps({"recipe": recipe_hash(of), "who": who, "seed": seed, "accuracy": accuracy}) + "\n"
            for who, seed, accuracy, of in rows
        )
    )

    found = read(file, with_parts(recipe, seed=1))

    assert found == {OURS: {0: 0.61, 1: 0.63}, THEIRS: {0: 0.62}}
    assert summary("it", found)[2:] == [
        "| it | Pitwall | 2 | 62.00% | 1.41 points |",
        "| it | PyTorch, Page's update | 1 | 62.00% | – |",
    ]


def test_the_interval_of_a_difference_is_welch_s():
    # worked by hand: means 2 and 4, variances 1 and 4, n 3; 2.94 degrees of freedom, t 2.37
    low, high = interval([0.01, 0.02, 0.03], [0.02, 0.04, 0.06])

    assert (low + high) / 2 == pytest.approx(-2)
    assert (high - low) / 2 == pytest.approx(2.373 * (5 / 3) ** 0.5, rel=1e-3)


def test_airbench_s_own_table_is_read_without_its_warm_up():
    printed = """
---------------------------------------------------------------------------
|  run     |  epoch  |  train_loss  |  train_acc  |  val_acc  |  tta_val_acc  |  total_time_seconds  |
|  warmup  |      0  |      2.0000  |     0.1000  |   0.1000  |               |              9.0000  |
|          |   eval  |      2.0000  |     0.1000  |   0.1000  |       0.1100  |             99.0000  |
|       0  |      0  |      1.5000  |     0.6000  |   0.6000  |               |              0.3000  |
|          |   eval  |      0.9000  |     0.9500  |   0.9321  |       0.9402  |              3.0900  |
Mean: 0.9402    Std: nan
"""
    assert results(printed) == [(0.9402, 3.09)]
