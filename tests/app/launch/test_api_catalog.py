"""The API besides runs: presets, data sets, the recipe's schema, workers, health, OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi.testclient import TestClient

from app.web.deps import State
from tests.app.support.api_calls import launched
from tests.app.support.cast import Hand, trained
from trainer.presets import PRESETS
from trainer.recipe import Recipe

# words that the API once used for setting, model, image, prediction, confidence and override
RETIRED = re.compile(r"\b(knobs?|nets?|pictures?|taken for|surely|laid over|as it counts)\b", re.IGNORECASE)
LAUNCHING = ("/sweeps", "/presets", "/datasets", "/recipe-schema", "/previews")


def test_presets_datasets_and_the_schema_are_listed(client: TestClient, state: State):
    (state.settings.datasets_dir / "pets").mkdir(parents=True)

    presets = client.get("/api/v1/presets").json()
    datasets = {one["name"]: one for one in client.get("/api/v1/datasets").json()}
    schema = client.get("/api/v1/recipe-schema").json()

    assert [preset["name"] for preset in presets] == list(PRESETS)
    assert all(Recipe.model_validate(preset["recipe"]) for preset in presets)
    assert datasets["digits"]["available"] is True
    assert datasets["cifar10"]["available"] is False
    assert {"digits", "cifar10", "cifar100"} <= set(datasets)
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["additionalProperties"] is False


def test_workers_are_listed_with_their_run(client: TestClient, state: State):
    assert client.get("/api/v1/workers").json() == []
    Hand(client, state, "idle").claim()
    run_id = launched(client)["id"]
    Hand(client, state, "busy").claim()

    workers = {one["name"]: one for one in client.get("/api/v1/workers").json()}
    assert set(workers) == {"idle", "busy"}
    assert (workers["busy"]["run"], workers["idle"]["run"]) == (run_id, None)
    assert workers["busy"]["present"] is True
    assert workers["busy"]["backends"] == ["tensorflow"]


def test_health_and_metrics_are_readable_by_machines(client: TestClient, state: State):
    trained(client, state)

    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    figures = client.get("/metrics").text
    assert 'pitwall_runs{status="succeeded"} 1.0' in figures
    assert 'pitwall_runs{status="queued"} 0.0' in figures
    assert "pitwall_streams_open 0.0" in figures


def test_openapi_has_readable_and_unique_operation_ids(client: TestClient):
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    found = [operation["operationId"] for path in paths.values() for operation in path.values()]

    assert len(found) > 18
    assert len(set(found)) == len(found)
    assert all(name.isascii() and name.replace("_", "").isalpha() and len(name) < 30 for name in found)
    assert {"launch_runs", "list_runs", "get_run", "cancel_run", "claim_run"} <= set(found)
    assert "/runs/new" not in paths


def test_openapi_shows_no_module_path_in_a_schema_s_name(client: TestClient):
    names = client.get("/api/v1/openapi.json").json()["components"]["schemas"]

    assert len(names) > 18
    assert [name for name in names if "__" in name] == []


def test_openapi_uses_the_words_of_the_pages(client: TestClient):
    api = client.get("/api/v1/openapi.json").json()
    routes = {path: item for path, item in api["paths"].items() if path.removeprefix("/api/v1").startswith(LAUNCHING)}
    names = set(re.findall(r"#/components/schemas/(\w+)", str(routes)))
    found = list(descriptions([routes, *(api["components"]["schemas"][name] for name in names)]))

    assert len(found) > 10
    assert [text for text in found if RETIRED.search(text)] == []


def descriptions(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(text := node.get("description"), str):
            yield text
        node = list(node.values())
    if isinstance(node, list):
        for one in node:
            yield from descriptions(one)
