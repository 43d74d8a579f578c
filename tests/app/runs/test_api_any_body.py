"""Any request body either launches a run or is refused; none is a server error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.application import create_app
from tests.app.support.api_calls import JSON
from tests.app.support.cast import HERE, settings_in, state_of
from trainer.presets import PRESETS
from trainer.recipe import Recipe


@pytest.fixture(scope="module")
def sturdy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    state = state_of(settings_in(tmp_path_factory.mktemp("sturdy")))
    with TestClient(create_app(state), base_url=HERE, raise_server_exceptions=False) as made:
        yield made
    state.records.close()


TEXTS = st.text(st.characters(), max_size=20)  # surrogates and control characters included
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
KNOBS = st.sampled_from([*Recipe.model_fields, "unknown"])
NESTED = st.dictionaries(st.sampled_from(["name", "kind", "op", "width", "p", "max_lr", "value"]) | TEXTS, VALUES)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "preset": st.sampled_from([*PRESETS, "x"]) | VALUES,
        "recipe": st.dictionaries(KNOBS, VALUES | NESTED | st.lists(NESTED, max_size=3), max_size=4) | VALUES,
        "name": TEXTS | VALUES,
        "tags": st.lists(TEXTS, max_size=3) | VALUES,
        "notes": TEXTS | VALUES,
        "repeats": st.integers(0, 3) | VALUES,
        "priority": st.integers(-200, 200) | VALUES,
    },
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(body=BODIES | VALUES)
def test_no_body_is_a_server_error(sturdy: TestClient, body: Any):
    answer = sturdy.post("/api/v1/runs", content=json.dumps(body), headers=JSON | {"Idempotency-Key": "k" * 8})

    assert answer.status_code in {201, 400, 422}, answer.text
    if answer.status_code != 201:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    else:
        assert sturdy.get(answer.headers["location"]).status_code == 200
        Recipe.model_validate(answer.json()["runs"][0]["recipe"])
