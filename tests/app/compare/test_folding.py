"""Folded comparisons: runs that differ in their seed alone are one line with n, mean, deviation and interval."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.metrics.statistics import compute_spread
from app.web.deps import State
from tests.app.board.test_ranking import SMALL, ran
from tests.app.compare.test_comparison import compared
from tests.app.support.cast import SPACE


def seeds(client: TestClient, state: State, lr: float, finals: tuple[float, ...]) -> list[int]:
    return [ran(client, state, (0.5, final), seed=seed, lr=lr) for seed, final in enumerate(finals)]


def lines(page: str) -> list[tuple[str, str]]:
    """(colour, dash) of each row of the results."""
    rows = re.findall(
        r'<tr data-line="\d+"><th scope="row">\s*<svg[^>]*--own: var\((--series-\d)\)(?:; --dash: ([\d ]+))?', page
    )
    return [(color, dash) for color, dash in rows]


def test_seeds_of_a_recipe_are_one_side_with_the_numbers_of_a_group(client: TestClient, state: State):
    one, other = seeds(client, state, 0.1, (0.90, 0.94, 0.92)), ran(client, state, (0.5, 0.8), lr=0.2)
    name = client.get(f"/api/v1/runs/{one[0]}").json()["recipe_hash"]

    found = compared(client, runs=",".join(map(str, [*one, other])), fold="true")
    folded, alone = found["sides"]
    [group] = compared(client, groups=name)["sides"]
    for key in ("group", "n", "accuracy", "sd", "interval", "best", "time_to_target", "seconds", "steps"):
        assert folded[key] == group[key], key
    assert folded["runs"] == one and (alone["runs"], alone["n"], alone["interval"]) == ([other], 1, None)
    spread = compute_spread([0.90, 0.94, 0.92])
    assert folded["interval"] == pytest.approx([spread.low, min(spread.high or 1, 1.0)])
    assert (found["recipes"], found["runs"]) == (2, 4)
    assert "seed" not in folded["knobs"]
    assert [trace["meta"].get("is_band", False) for trace in found["curves"]["traces"]] == [True, False, False]


def test_the_api_folds_only_when_asked(client: TestClient, state: State):
    runs = seeds(client, state, 0.1, (0.90, 0.94))
    found = compared(client, runs=",".join(map(str, runs)))
    assert [side["run"] for side in found["sides"]] == runs
    assert [side["group"] for side in found["sides"]] == [None, None]
    assert (found["recipes"], found["runs"]) == (1, 2)


def test_the_page_folds_and_can_be_unfolded_without_javascript(client: TestClient, state: State):
    one, other = seeds(client, state, 0.1, (0.90, 0.94)), seeds(client, state, 0.2, (0.80, 0.84))
    query = f"runs={one[0]},{other[0]},{one[1]},{other[1]}"

    page = client.get(f"/compare?{query}").text
    assert "2 recipes, 4 runs" in page
    assert len(lines(page)) == 2
    for run in (*one, *other):
        assert f'<a href="/runs/{run}">#{run}</a>' in page
    assert f"92.00{SPACE}%" in page and f"± 2.83{SPACE}%" in page
    assert 'value="2 recipes on digits"' in page
    assert f'href="/compare?runs={other[0]},{other[1]}" aria-label="Remove' in page, "all seeds of the line go"

    [unfold] = re.findall(r'<a href="([^"]*)">Show each run</a>', page)
    assert unfold == f"/compare?{query}&amp;fold=0"
    unfolded = client.get(unfold.replace("&amp;", "&")).text
    assert "2 recipes, 4 runs" in unfolded and f'<a href="/compare?{query}">Fold seeds</a>' in unfolded
    assert len(set(lines(unfolded))) == 4
    assert len({color for color, _ in lines(unfolded)}) == 2, "seeds share the colour of their recipe"
    assert unfolded.count('name="fold" value="0"') >= 2, "its forms stay unfolded"


def test_nothing_is_said_of_folding_where_there_are_no_seeds(client: TestClient, state: State):
    one, other = ran(client, state, (0.5, 0.9), lr=0.1), ran(client, state, (0.5, 0.9), lr=0.2)
    page = client.get(f"/compare?runs={one},{other}").text
    assert "2 recipes, 2 runs" in page
    assert "Show each run" not in page and "Fold seeds" not in page


def test_other_hardware_or_data_is_another_line(client: TestClient, state: State):
    runs = [
        ran(client, state, (0.5, 0.9), seed=0),
        ran(client, state, (0.5, 0.9), seed=1),
        ran(client, state, (0.5, 0.9), seed=2, device="Another GPU"),
        ran(client, state, (0.5, 0.9), seed=3, dataset_fingerprint="e" * 64),
    ]
    found = compared(client, runs=",".join(map(str, runs)), fold="true")
    assert [side["runs"] for side in found["sides"]] == [runs[:2], runs[2:3], runs[3:]]
    assert found["recipes"] == 1
    page = client.get("/compare", params={"runs": ",".join(map(str, runs))}).text
    assert len(set(lines(page))) == 3 and len({color for color, _ in lines(page)}) == 1


def test_a_run_that_waits_joins_its_recipe_and_does_not_count(client: TestClient, state: State):
    runs = seeds(client, state, 0.1, (0.90, 0.94))
    recipe = SMALL | {"epochs": 2, "seed": 7, "schedule": {"kind": "constant", "lr": 0.1}}
    waiting = client.post("/api/v1/runs", json={"recipe": recipe}).json()["runs"][0]["id"]

    [side] = compared(client, runs=f"{waiting},{runs[0]},{runs[1]}", fold="true")["sides"]
    assert (side["runs"], side["n"], side["accuracy"]) == ([waiting, *runs], 2, pytest.approx(0.92))
    assert "2 of 3" in client.get(f"/compare?runs={waiting},{runs[0]},{runs[1]}").text


def test_the_same_seed_twice_counts_once(client: TestClient, state: State):
    runs = [ran(client, state, (0.5, final), seed=0) for final in (0.90, 0.94)]
    [side] = compared(client, runs=f"{runs[0]},{runs[1]}", fold="true")["sides"]
    assert (side["n"], side["accuracy"], side["interval"]) == (1, 0.90, None)


def test_runs_without_any_result_are_folded_too(client: TestClient, state: State):
    body = {"recipe": SMALL | {"schedule": {"kind": "constant", "lr": 0.1}}, "repeats": 2}
    runs = [run["id"] for run in client.post("/api/v1/runs", json=body).json()["runs"]]
    [side] = compared(client, runs=f"{runs[0]},{runs[1]}", fold="true")["sides"]
    assert (side["n"], side["accuracy"], side["runs"]) == (0, None, runs)
    assert "1 recipe, 2 runs" in client.get(f"/compare?runs={runs[0]},{runs[1]}").text


def test_a_recipe_keeps_its_colour_wherever_it_stands(client: TestClient, state: State):
    one, other = seeds(client, state, 0.1, (0.90, 0.94)), seeds(client, state, 0.2, (0.80, 0.84))
    first = lines(client.get(f"/compare?runs={one[0]},{one[1]},{other[0]}").text)
    assert lines(client.get(f"/compare?runs={other[0]},{one[0]},{one[1]}").text) == first[::-1]
    newer = ran(client, state, (0.5, 0.7), lr=0.3)
    more = lines(client.get(f"/compare?runs={newer},{one[0]},{one[1]},{other[0]}").text)
    assert more[1:] == first and more[0] not in first


@pytest.mark.parametrize(("y", "is_clipped"), [("all", False), ("end", True), ("best", True)])
def test_the_vertical_range_is_chosen_in_the_address(client: TestClient, state: State, y: str, is_clipped: bool):
    run = ran(client, state, (0.1, 0.2, 0.3, 0.9, 0.91, 0.92))
    page = client.get(f"/compare?runs={run}&y={y}").text
    assert ('class="clipped"' in page) == is_clipped
    assert f'<option value="{y}" selected>' in page
    losses = client.get(f"/compare?runs={run}&y={y}&field=val_loss").text
    assert 'value="best"' not in losses, "points of an accuracy"


def ranges_of(page: str) -> Any:
    return json.loads(page.partition("data-figure>")[2].partition("</script>")[0])["y_ranges"]


def test_ranges_follow_the_curves(client: TestClient, state: State):
    run = ran(client, state, (0.1, 0.2, 0.3, 0.9, 0.91, 0.99))
    found = ranges_of(client.get(f"/compare?runs={run}").text)
    assert found["best"] == pytest.approx([0.97, 1.002])
    assert found["end"] == pytest.approx([0.91 - 0.004, 0.99 + 0.004])


def test_the_summary_document_folds_as_the_page_does(client: TestClient, state: State):
    runs = ",".join(map(str, seeds(client, state, 0.1, (0.90, 0.94))))
    assert "2 of 2 reached the target" not in client.post("/reports", data={"runs": runs}).text
    folded = client.post("/reports", data={"runs": runs, "fold": "1"}).text
    assert f"92.00{SPACE}% ± 2.83{SPACE}%" in folded
