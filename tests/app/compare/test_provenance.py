"""What the summary document says of its numbers: n, error bars, compute, how the best was chosen, what was left out."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.compare.comparison import compare
from app.compare.provenance import Provenance, describe_images, describe_seeds, trace
from app.records.models import Run
from app.web.deps import State
from tests.app.board.test_ranking import PLACE, SMALL, ran
from tests.app.compare.test_document import summary, without_plotly
from tests.app.support.cast import Hand, epoch, started

LOW, HIGH = (0.80, 0.81, 0.79, 0.80), (0.90, 0.91, 0.89, 0.90)


def seeds(client: TestClient, state: State, lr: float, finals: tuple[float, ...], **more: Any) -> list[int]:
    return [ran(client, state, (0.5, final), seed=seed, lr=lr, **more) for seed, final in enumerate(finals)]


def ended(client: TestClient, state: State, outcome: str, *, seed: int, lr: float, failure: str = "") -> int:
    """A run that ended after its first epoch."""
    recipe = SMALL | {"epochs": 2, "seed": seed, "schedule": {"kind": "constant", "lr": lr}}
    client.post("/api/v1/runs", json={"recipe": recipe}).raise_for_status()
    hand = Hand(client, state)
    assert hand.claim()
    hand.say(started(environment=PLACE), epoch(1, 0.3, 2.0))
    if failure:
        hand.say({"event": "failed", "kind": failure, "message": "It ended."})
    hand.finish(outcome, exit_code=1)
    return hand.run


def recipe_of(client: TestClient, run: int) -> str:
    return str(client.get(f"/api/v1/runs/{run}").json()["recipe_hash"])


def traced(state: State, runs: list[int], groups: tuple[str, ...] = (), *, fold: bool = True) -> Provenance:
    with state.records.read() as session:
        return trace(session, compare(session, runs, groups, fold=fold))


def named(client: TestClient, runs: list[int], name: str) -> None:
    for run in runs:
        client.patch(f"/api/v1/runs/{run}", json={"name": name}).raise_for_status()


def test_each_run_of_a_recipe_is_counted_once_and_by_what_became_of_it(client: TestClient, state: State):
    runs = seeds(client, state, 0.1, (0.9, 0.92))
    ran(client, state, (0.5, 0.91), seed=0, lr=0.1)  # a duplicate
    ran(client, state, (0.5, 0.9), seed=2, lr=0.1, device="Other GPU")
    diverged = ended(client, state, "failed", seed=3, lr=0.1, failure="diverged")
    ended(client, state, "failed", seed=4, lr=0.1, failure="out_of_memory")
    ended(client, state, "cancelled", seed=5, lr=0.1)
    seeds(client, state, 0.2, (0.6,))  # of another recipe
    queued = SMALL | {"epochs": 2, "seed": 6, "schedule": {"kind": "constant", "lr": 0.1}}
    client.post("/api/v1/runs", json={"recipe": queued}).raise_for_status()

    name = recipe_of(client, runs[0])
    found = traced(state, [], (name,))
    [(_, letters, fates)] = found.fates
    assert letters == name[:8]
    assert vars(fates) == {
        "shown": 3, "duplicates": 1, "others": 1, "failed": 1, "cancelled": 1, "in_progress": 1, "diverged": 1,
    }  # fmt: skip
    assert fates.launched == 8
    [line] = found.lines
    assert (line.runs, line.seeds, line.epoch, line.tta) == (
        "3: 1 diverged, so ± is of 2",
        "0 to 1, 3",
        "last, 2",
        "no TTA",
    )
    [(dataset, tried, rest)] = found.datasets
    assert (dataset, tried[:2], rest[:2]) == ("digits", (2, 9), (1, 6))

    only = traced(state, [diverged, runs[0]], fold=False)
    assert (only.fates[0][2].shown, only.fates[0][2].others) == (2, 2), "what was not chosen is left out"


def test_compute_counts_what_was_shown_and_all_that_was_tried(client: TestClient, state: State):
    runs = seeds(client, state, 0.1, (0.9, 0.92))
    ended(client, state, "failed", seed=3, lr=0.1, failure="diverged")
    ended(client, state, "cancelled", seed=4, lr=0.1)
    client.patch("/api/v1/workers/ada", json={"price_per_hour": 3.6}).raise_for_status()

    shown, tried = traced(state, runs).compute
    assert (shown.runs, shown.seconds, shown.cost_runs, shown.energy_runs) == (2, 8.0, 2, 0)
    assert (tried.runs, tried.seconds) == (4, 12.0)
    assert tried.cost == pytest.approx(0.012)
    found = traced(state, runs)
    assert (found.hardware, found.software) == (
        "Some GPU (2 runs)",
        "Pitwall 1, tensorflow, precision not known (2 runs)",
    )


def test_recipes_are_judged_beside_the_best_and_every_pair_counts(client: TestClient, state: State):
    low, high = seeds(client, state, 0.1, LOW), seeds(client, state, 0.2, HIGH)
    middle = seeds(client, state, 0.3, (0.899, 0.909, 0.889, 0.9))
    for runs, name in ((low, "Low"), (high, "High"), (middle, "Middle")):
        named(client, runs, name)

    [family] = traced(state, low + high + middle).choice.families
    assert (family.comparisons, family.is_beside_baseline) == (3, False)
    assert [row.name for row in family.rows] == ["High", "Middle", "Low"]
    assert family.headline == (
        "There is no winner: High has the highest mean, but 1 of the 2 others is not significantly different from it."
    )
    assert family.rows[1].sentence.startswith("Middle against High: undecided by final accuracy after 4 seeds each")
    assert family.rows[2].sentence.startswith(
        "Low is worse than High by final accuracy, after 4 seeds each: \N{MINUS SIGN}10.00"
    )

    headlines = {
        "High is the best: better than the other.": low + high,
        "There is no winner: High has the highest mean, but the other is not significantly different from it.": (
            high + middle
        ),
    }
    for headline, runs in headlines.items():
        [family] = traced(state, runs).choice.families
        assert family.headline == headline


def test_a_recipe_that_often_diverges_is_no_winner_whatever_its_mean(client: TestClient, state: State):
    steady = seeds(client, state, 0.1, (0.90, 0.91, 0.89, 0.90, 0.905, 0.895, 0.9, 0.91, 0.89, 0.9))
    lucky = ran(client, state, (0.5, 0.97), seed=0, lr=0.2)
    lost = [ended(client, state, "failed", seed=seed, lr=0.2, failure="diverged") for seed in range(1, 10)]
    named(client, steady, "Steady")
    named(client, [lucky, *lost], "Lucky")

    found = traced(state, [*steady, lucky, *lost])
    [family] = found.choice.families
    assert [(row.name, row.n, row.diverged) for row in family.rows] == [("Lucky", 10, 9), ("Steady", 10, 0)]
    assert family.headline == (
        "Lucky has the highest mean of the runs that finished, but the other is better: runs of it diverged."
    )
    page = without_plotly(summary(client, runs=",".join(map(str, [*steady, lucky, *lost])), fold="1"))
    assert "9 of them diverged" in page and "10: 9 diverged, so ± is of 1" not in page


def test_recipes_are_judged_beside_the_pinned_baseline_also_if_it_is_not_shown(client: TestClient, state: State):
    low, high = seeds(client, state, 0.1, LOW), seeds(client, state, 0.2, HIGH)
    named(client, low, "Low")
    named(client, high, "High")
    client.put("/api/v1/datasets/digits/baseline", json={"recipe_hash": recipe_of(client, low[0])}).raise_for_status()

    [family] = traced(state, high).choice.families
    assert [(row.name, row.is_shown) for row in family.rows] == [("High", True), ("Low", False)]
    assert (family.comparisons, family.is_beside_baseline) == (1, True)
    assert family.rows[0].sentence.startswith("High is better than Low")
    assert family.headline == "High has the highest mean. Each recipe is compared with the pinned baseline, Low."
    assert [name for name, *_ in traced(state, high).fates] == ["High"]


def test_verdicts_use_all_seeds_of_a_recipe_not_those_that_were_picked(client: TestClient, state: State):
    low, high = seeds(client, state, 0.1, LOW), seeds(client, state, 0.2, (0.95, 0.94, 0.50, 0.51))

    [family] = traced(state, low + high[:2]).choice.families
    assert {row.n for row in family.rows} == {4}
    assert sorted(row.left_out for row in family.rows) == [0, 2]
    assert "undecided" in family.rows[1].sentence
    page = without_plotly(summary(client, runs=",".join(map(str, low + high[:2])), fold="1"))
    assert "2 of them not in this document" in page


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"device": "Other GPU"}, "they ran on different hardware, Some GPU and Other GPU"),
        ({"dataset_fingerprint": "e" * 64}, "they used different images of the data set, or different versions of it"),
    ],
)
def test_what_cannot_be_compared_says_why(client: TestClient, state: State, place: dict[str, str], reason: str):
    one, other = seeds(client, state, 0.1, LOW), seeds(client, state, 0.2, HIGH, **place)
    named(client, one, "One")
    named(client, other, "Other")

    choice = traced(state, one + other).choice
    assert choice.families == []
    assert choice.untested == [("Other", f"not comparable with One: {reason}")]


def test_recipes_of_one_name_are_told_apart_by_their_hash(client: TestClient, state: State):
    one, other = seeds(client, state, 0.1, LOW), seeds(client, state, 0.2, HIGH)
    named(client, one + other, "Same")

    [family] = traced(state, one + other).choice.families
    assert [row.name for row in family.rows] == [f"Same ({recipe_of(client, run)[:8]})" for run in (other[0], one[0])]


def test_a_document_of_single_runs_says_that_nothing_was_tested(client: TestClient, state: State):
    one, other = seeds(client, state, 0.1, (0.8,)), seeds(client, state, 0.2, (0.9,))

    page = without_plotly(summary(client, runs=f"{one[0]},{other[0]}"))
    assert "Nothing was tested: each line is one run (n = 1)" in page
    assert "A line of one run (n = 1) has no error bar" in page
    assert "standard deviation of the sample" not in page and "A band in a chart" not in page
    assert "Nothing was tested: there is one run" in summary(client, runs=one[0])


def test_a_document_of_groups_and_runs_tells_what_each_is(client: TestClient, state: State):
    one, other = seeds(client, state, 0.1, LOW), seeds(client, state, 0.2, HIGH)
    alone = ran(client, state, (0.5, 0.7), lr=0.3)
    deleted = ran(client, state, (0.5, 0.7), lr=0.4)
    client.delete(f"/api/v1/runs/{deleted}").raise_for_status()

    page = without_plotly(summary(client, runs=",".join(map(str, [*one, *other, alone])), fold="1"))
    for said in (
        "1 line is one run (n = 1) and was not tested",
        "One comparison was made",
        "with at most 20 seeds each",
        "A difference tends to be too large",
        "± is the standard deviation of the sample",
        "On digits, 3 recipes with 9 runs were tried in all",
        "Not in this document: 0 recipes, 0 runs",
        "1 run of any data set was deleted",
        "300: the published test split",
        "Energy was not measured",
    ):
        assert said in page, said
    titles = re.findall("<h3>([^<]*)</h3>", page)[:5]
    assert titles == [
        "Runs and validation images",
        "Error bars",
        "Compute",
        "How the best was chosen",
        "Runs tried and left out",
    ]


def test_the_median_time_has_an_interval_from_six_runs_on(client: TestClient, state: State):
    runs = [ran(client, state, (0.5, 0.95), seed=seed, seconds=2.0 + seed) for seed in range(6)]
    interval = "95 % confidence interval 4.0\u202fs to 14.0\u202fs"
    assert interval in summary(client, runs=",".join(map(str, runs)), fold="1")
    assert "Median time to target" not in without_plotly(summary(client, runs=",".join(map(str, runs[:5])), fold="1"))


def test_a_group_without_a_finished_run_is_not_tested(client: TestClient, state: State):
    first = ended(client, state, "failed", seed=0, lr=0.1, failure="diverged")
    other = seeds(client, state, 0.2, HIGH)
    named(client, [first], "Lost")

    choice = traced(state, other, (recipe_of(client, first),)).choice
    assert choice.families == []
    assert choice.untested == [("Lost", "none of its runs has finished with an accuracy")]


@pytest.mark.parametrize(
    ("seen", "text"), [([], ""), ([3], "3"), ([0, 1, 2, 5], "0 to 2, 5"), ([7, 1, 7, 2], "1 to 2, 7")]
)
def test_seeds_are_written_as_ranges(seen: list[int], text: str):
    assert describe_seeds(seen) == text


@pytest.mark.parametrize(
    ("dataset", "name", "images", "text"),
    [
        ({}, "cifar10", 10_000, "10,000: the published test split"),
        ({"val_limit": 500}, "cifar10", 500, "500: the first of the published test split"),
        ({"val_limit": 500}, "folder:mine", 80, "80: the test split"),
        ({"val_from_train": 5000}, "cifar10", 5000, "5,000 held out from training"),
        ({"val_from_train": 5000, "val_limit": 100}, "cifar10", 100, "100: the first of 5,000 held out from training"),
        ({}, "cifar10", None, "not known yet"),
    ],
)
def test_validation_images_are_named(dataset: dict[str, int], name: str, images: int | None, text: str):
    assert describe_images(Run(dataset=name, recipe={"dataset": dataset}, val_images=images)) == text
