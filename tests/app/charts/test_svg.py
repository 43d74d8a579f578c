"""Stills hold what Plotly would draw: the same points at the same places, gaps, ranges, names, bands, intervals."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.charts import run_charts
from app.charts.svg import MAX_POINTS, LegendEntry, StaticChart, static_chart
from app.charts.svg_paths import Scale, padded_scale
from app.metrics.epochs import EpochResponse
from app.web.deps import State
from tests.app.board.test_ranking import ran
from trainer.presets import PRESETS

WHOLE = re.compile(r"([MLm]-?\d+(\.\d+)? -?\d+(\.\d+)?|[hv]-?\d+(\.\d+)?|Z)+")  # and no nan or inf
RECIPE = PRESETS["quickstart"].recipe
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def line(y: list[float | None], role: str = "train", **more: Any) -> dict[str, Any]:
    x = list(range(1, len(y) + 1))
    return {"type": "scatter", "mode": "lines", "name": role, "x": x, "y": y, "meta": {"role": role}} | more


def points(found: StaticChart, kind: str) -> list[tuple[float, float]]:
    """Of all paths of a kind: per cent from the left and from the top."""
    d = "".join(path.d for path in found.paths if path.kind == kind)
    return [(float(x) / 10, float(y) / 10) for x, y in re.findall(r"[ML]?(-?[\d.]+) (-?[\d.]+)", d)]


def place_of(words: Any, text: str) -> Any:
    return next(word for word in words if word.text == text)


@given(st.lists(NUMBERS, min_size=1, max_size=30), st.booleans(), st.integers(2, 12), st.booleans())
def test_ticks_are_round_few_and_inside(values: list[float], from_zero: bool, most: int, whole: bool) -> None:
    scale = padded_scale(values, from_zero=from_zero)
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in values)
    ticks = scale.ticks(most, whole=whole)
    assert len(ticks) <= most + 1
    room = 1e-6 * (scale.high - scale.low)
    assert all(scale.low - room <= tick <= scale.high + room for tick in ticks)
    if whole:
        assert all(tick == round(tick) for tick in ticks)
    for before, after in pairwise(ticks):
        digits = (after - before) / 10 ** math.floor(math.log10(after - before) + 1e-6)
        assert any(math.isclose(digits, one, rel_tol=1e-3) for one in (1, 2, 5, 10)), digits


def test_zero_is_an_edge_only_where_nothing_lies_beyond_it() -> None:
    assert padded_scale([2, 4], from_zero=True).low == 0
    assert padded_scale([-2, -4], from_zero=True).high == 0
    assert padded_scale([-1, 1], from_zero=True).low < -1
    assert padded_scale([2, 4]).low > 0
    assert padded_scale([0, 0], from_zero=True) == Scale(0, 1)
    flat = padded_scale([3, 3])
    assert flat.low < 3 < flat.high


def test_a_point_stands_where_its_ticks_say() -> None:
    found = static_chart(
        {"traces": [line([0.2, None, 0.4, 0.6])], "layout": {"yaxis": {"tickformat": ".0%"}}, "target": 0.5}
    )
    drawn = points(found, "line train")
    assert [round(across) for across, _ in drawn] == [0, 67, 100]
    for text, (_, down) in zip(["20%", "40%", "60%"], drawn, strict=True):
        assert place_of(found.up, text).down == pytest.approx(down, abs=0.1)
    for text, (across, _) in zip("134", drawn, strict=True):
        assert place_of(found.across, text).across == pytest.approx(across, abs=0.1)
    assert found.paths[1].d.count("M") == 2  # what is unknown is a gap
    rule = points(found, "rule")
    assert rule[0][1] == rule[1][1] == pytest.approx(place_of(found.up, "50%").down, abs=0.1)
    assert found.legend == [LegendEntry("train", "line train", "--chart-train")]
    [aim] = found.notes
    assert (aim.text, aim.kind) == ("target 50.00 %", "above")
    assert aim.down == pytest.approx(rule[0][1], abs=0.1)


def test_what_is_no_number_is_a_gap() -> None:
    found = static_chart({"traces": [line([0.2, math.nan, 0.4, math.inf])]})
    assert len(points(found, "line train")) == 2


def test_a_target_is_in_sight_however_far_it_is() -> None:
    (_, down), _ = points(static_chart({"traces": [line([0.1, 0.2])], "target": 0.94}), "rule")
    assert 0 < down < 10


def test_a_line_keeps_its_dash_and_its_number() -> None:
    meta = {"role": "7", "token": "--series-1"}
    found = static_chart({"traces": [line([0.1, 0.2], meta=meta, line={"dash": "8px,3px"})]})
    assert found.legend == [LegendEntry("train", "line 7", "--series-1", "8 3")]
    assert [(path.token, path.dash, path.role) for path in found.paths] == [("--series-1", "8 3", "7")]


def test_a_line_that_differs_by_its_marker_alone_always_shows_some() -> None:
    marker = {"symbol": "square", "maxdisplayed": 12}
    found = static_chart({"traces": [line([0.5] * 500, mode="lines+markers", marker=marker)]})
    assert 8 <= len(points(found, "point square")) <= 12


def test_a_chosen_range_cuts_off_what_lies_outside() -> None:
    found = static_chart({"traces": [line([0.1, 0.9, 0.92])], "target": 0.5, "y_range": (0.89, 0.93)})
    assert found.is_clipped
    assert not found.notes, "the target lies outside"
    assert [0 < down < 100 for _, down in points(found, "line train")] == [False, True, True]


@pytest.mark.parametrize(
    ("most", "words"),
    [(0.05, "0.04"), (4, "4"), (9000, "8000"), (41_000, "40k"), (1.2e6, "500k"), (-30_000, "−30k"), (4e12, "4T")],
)
def test_large_numbers_are_said_with_a_letter(most: float, words: str) -> None:
    assert words in [word.text for word in static_chart({"traces": [line([0.0, most])]}).up]


def test_what_no_run_measured_promises_nothing() -> None:
    assert static_chart({"traces": [line([None, None])]}).notes[0].text == "Nothing was measured"
    assert static_chart({"traces": []}).notes[0].text == "Nothing was measured"


def test_strange_figures_are_drawn_as_far_as_they_go() -> None:
    band = line([0.1, None, 0.3], meta={"role": "0", "is_band": True})
    marks = [{"x": None, "text": "nowhere"}, {"x": 2, "text": "here"}]
    found = static_chart({"traces": [band, line([1e308, -1e308, 0.2])], "marks": marks})
    assert [note.text for note in found.notes] == ["here"]
    assert all(WHOLE.fullmatch(path.d) for path in found.paths)


def test_bars_stand_on_zero_around_their_epoch() -> None:
    found = static_chart({"traces": [line([3.0, 6.0], type="bar", mode="")]})
    (left, foot), (_, top), (right, _), (_, again) = points(found, "fill")[4:]
    assert (left + right) / 2 == pytest.approx(place_of(found.across, "2").across, abs=0.1)
    assert foot == again == pytest.approx(place_of(found.up, "0").down, abs=0.1)
    assert top == pytest.approx(place_of(found.up, "6").down, abs=0.1)


def test_a_spike_in_a_long_line_is_kept_and_the_picture_stays_small() -> None:
    y: list[float | None] = [0.5 + 0.001 * (number % 7) for number in range(20_000)]
    y[12_345] = 9.0
    found = static_chart({"traces": [line(y)]})
    drawn = points(found, "line train")
    assert len(drawn) <= MAX_POINTS + 2
    assert min(down for _, down in drawn) < 6  # near the top
    assert [drawn[0][0], drawn[-1][0]] == [0, 100]
    assert drawn == sorted(drawn, key=lambda point: point[0])


def test_before_the_first_epoch_it_says_when_there_will_be_something() -> None:
    found = [static_chart(figure) for figure in run_charts.run_figures([], RECIPE, None)]
    assert {one.notes[0].text for one in found} == {"The first point appears when epoch 1 ends"}
    assert not any(one.paths for one in found)


def test_the_planned_rate_has_its_notes_and_a_second_axis() -> None:
    found = static_chart(run_charts.schedule_figure(RECIPE, 1497))
    assert [note.text.split()[0] for note in found.notes] == ["peak", "end"]
    peak = min(points(found, "line rate"), key=lambda point: point[1])
    assert (found.notes[0].across, found.notes[0].down) == pytest.approx(peak, abs=0.2)
    assert place_of(found.right, "0").down == pytest.approx(50, abs=2)
    assert place_of(found.across, str(RECIPE.epochs)).across == 100


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, st.floats(0, 1)), min_size=1, max_size=20))
def test_whatever_a_run_measured_is_inside_its_picture(rows: list[tuple[float, float, float, float]]) -> None:
    epochs = [
        EpochResponse.model_validate(
            dict.fromkeys(EpochResponse.model_fields, 0)
            | {"epoch": number, "attempt": 1, "train_loss": loss, "train_accuracy": share, "val_loss": other}
            | {"val_accuracy": share, "learning_rate": rate, "seconds": 1.0, "elapsed_seconds": float(number)}
        )
        for number, (loss, other, rate, share) in enumerate(rows, 1)
    ]
    for figure in run_charts.run_figures(epochs, RECIPE, 1497):
        found = static_chart(figure)
        for path in found.paths:
            assert WHOLE.fullmatch(path.d), path.d
            for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.d):
                assert -0.1 <= float(x) <= 1000.1
                assert -0.1 <= float(y) <= 1000.1


def test_pages_hold_their_charts_without_a_script(client: TestClient, state: State) -> None:
    runs = [ran(client, state, (0.5, 0.95), seed=seed, lr=0.1) for seed in range(2)]
    group = client.get(f"/api/v1/runs/{runs[0]}").json()["recipe_hash"]
    for address, kinds in {
        f"/runs/{runs[0]}": ("line train", "line validation", "line rate", "fill"),
        f"/groups/{group}": ("line faint", "band", "line validation"),
        "/board?target=0.9": ("run", "mean", "whisker"),
        f"/compare?runs={runs[0]},{runs[1]}&fold=0": ("line 0", "line 1"),
        "/runs/new": ("line rate", "line planned"),
    }.items():
        text = client.get(address).text
        for kind in kinds:
            assert f'<path class="{kind}"' in text, (address, kind)
        assert "<script defer" not in text


def test_a_name_in_a_picture_is_text(client: TestClient, state: State) -> None:
    run = ran(client, state, (0.5, 0.95), lr=0.1)
    client.patch(f"/api/v1/runs/{run}", json={"name": "<b>bold</b>"})
    text = client.get("/board?target=0.9").text
    assert "1. &lt;b&gt;bold&lt;/b&gt;" in text
