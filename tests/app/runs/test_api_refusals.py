"""What the API refuses: every mistake is named, nothing is stored, all errors have one format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.app.support.api_calls import JSON, count, launched

BAD: list[tuple[str, Any, str]] = [
    ("an unknown key", {"recipee": {}}, "recipee"),
    ("an unknown setting", {"recipe": {"epoch": 3}}, "epoch"),
    ("an unknown nested setting", {"recipe": {"schedule": {"lr": 0.1}}}, "schedule.lr"),
    ("too small", {"recipe": {"epochs": 0}}, "epochs"),
    ("too large", {"recipe": {"batch_size": 16_385}}, "batch_size"),
    ("negative", {"recipe": {"optimizer": {"momentum": -0.1}}}, "optimizer.momentum"),
    ("a huge whole number", {"recipe": {"seed": 10**30}}, "seed"),
    ("a huge priority", {"priority": 10**30}, "priority"),
    ("text for a number", {"recipe": {"epochs": "3"}}, "epochs"),
    ("a fraction for a whole number", {"recipe": {"epochs": 2.5}}, "epochs"),
    ("true for a number", {"recipe": {"epochs": True}}, "epochs"),
    ("a number for a switch", {"recipe": {"model": {"identity": 1}}}, "model.identity"),
    ("null for a number", {"recipe": {"epochs": None}}, "epochs"),
    ("a list for an object", {"recipe": {"schedule": []}}, "schedule"),
    ("text for a list", {"recipe": {"augment": "flip"}}, "augment"),
    ("a list for a recipe", {"recipe": []}, "recipe"),
    ("null for a recipe", {"recipe": None}, "recipe"),
    ("an unknown data set", {"recipe": {"dataset": {"name": "imagenet"}}}, "dataset.name"),
    ("a folder that is not there", {"recipe": {"dataset": {"name": "folder:pets"}}}, "dataset.name"),
    ("a folder outside", {"recipe": {"dataset": {"name": "folder:../../etc"}}}, "dataset.name"),
    ("a folder with a newline", {"recipe": {"dataset": {"name": "digits\n"}}}, "dataset.name"),
    ("more held out than there is", {"recipe": {"dataset": {"val_from_train": 1497}}}, "dataset.val_from_train"),
    ("an unknown preset", {"preset": "best"}, "preset"),
    ("an unknown kind", {"recipe": {"schedule": {"kind": "cosinus"}}}, "schedule"),
    ("an unknown operation", {"recipe": {"augment": [{"op": "flip"}, {"op": "spin"}]}}, "augment.1"),
    ("an operation without a name", {"recipe": {"augment": [{"p": 0.5}]}}, "augment.0"),
    ("an invalid setting of an operation", {"recipe": {"augment": [{"op": "flip", "p": 2}]}}, "augment.0.p"),
    ("too many operations", {"recipe": {"augment": [{"op": "flip"}] * 17}}, "augment"),
    ("a peak below the base", {"recipe": {"schedule": {"base_lr": 1, "max_lr": 0.5}}}, "schedule.max_lr"),
    ("a range upside down", {"recipe": {"augment": [{"op": "cutout", "s_l": 0.5}]}}, "augment.0.s_h"),
    ("a name that is too long", {"name": "x" * 201}, "name"),
    ("a name of two lines", {"name": "a\nb"}, "name"),
    ("NUL in a name", {"name": "a\0b"}, "name"),
    ("a control character in a name", {"name": "a\x1bb"}, "name"),
    ("DEL in a tag", {"tags": ["a\x7f"]}, "tags.0"),
    ("NUL in the notes", {"notes": "\0"}, "notes"),
    ("notes that are too long", {"notes": "x" * 20_001}, "notes"),
    ("an empty tag", {"tags": [" "]}, "tags.0"),
    ("too many tags", {"tags": ["t"] * 21}, "tags"),
    ("a number as a tag", {"tags": [1]}, "tags.0"),
    ("no repeats", {"repeats": 0}, "repeats"),
    ("too many repeats", {"repeats": 101}, "repeats"),
    ("text for repeats", {"repeats": "2"}, "repeats"),
    ("a lone surrogate in a name", {"name": "a\ud800"}, "name"),
    ("a lone surrogate in a tag", {"tags": ["\ud800"]}, "tags.0"),
    ("a lone surrogate in the notes", {"notes": "\udfff"}, "notes"),
    ("a lone surrogate in a preset", {"preset": "\ud800"}, "preset"),
    ("a lone surrogate as a key", {"\ud800": 1}, ""),
    ("a lone surrogate as a setting", {"recipe": {"\ud800": 1}}, ""),
    ("a lone surrogate in a recipe", {"recipe": {"dataset": {"name": "\ud800"}}}, "dataset.name"),
    ("a lone surrogate deep in a recipe", {"recipe": {"model": {"\udc00": ["\ud800"]}}}, ""),
]


@pytest.mark.parametrize(("what", "body", "field"), BAD, ids=[what for what, _, _ in BAD])
def test_an_invalid_field_is_named_and_nothing_is_stored(client: TestClient, what: str, body: Any, field: str):
    answer = client.post("/api/v1/runs", content=json.dumps(body), headers=JSON)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["type"]) == (422, "about:blank")
    assert problem["errors"]
    assert all(error["message"] for error in problem["errors"])
    if field:
        assert problem["field"] == field
        assert field in problem["detail"]
    assert count(client) == 0


def test_every_mistake_is_named_not_only_the_first(client: TestClient):
    answer = client.post("/api/v1/runs", json={"recipe": {"epochs": 0, "seed": -1, "model": {"width": 1}}})

    assert {error["field"] for error in answer.json()["errors"]} == {"epochs", "seed", "model.width"}


@pytest.mark.parametrize(
    ("what", "content", "status"),
    [
        ("broken JSON", b'{"name": ', 400),
        ("not JSON", b"name=x", 400),
        ("not UTF-8", b'{"name": "\xff"}', 400),
        ("two bodies", b"{}{}", 400),
        ("text", b'"text"', 422),
        ("a number", b"3", 422),
        ("null", b"null", 422),
        ("a list", b"[]", 422),
        ("NaN", b'{"recipe": {"target_accuracy": NaN}}', 422),
        ("Infinity", b'{"recipe": {"schedule": {"max_lr": Infinity}}}', 422),
        ("a number beyond all floats", b'{"recipe": {"schedule": {"max_lr": 1e999}}}', 422),
        ("NaN as priority", b'{"priority": NaN}', 422),
        ("a number of 5,000 digits", b'{"recipe": {"seed": ' + b"9" * 5000 + b"}}", 400),
        ("nothing", b"", 422),
    ],
)
def test_a_broken_body_is_refused_and_nothing_is_stored(client: TestClient, what: str, content: bytes, status: int):
    answer = client.post("/api/v1/runs", content=content, headers=JSON)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert count(client) == 0


@pytest.mark.parametrize("depth", [10, 150, 300, 700, 5_000, 100_000])
def test_deep_nesting_is_refused(client: TestClient, depth: int):
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        content = '{"recipe": {"a": ' + opening * depth + "1" + closing * depth + "}}"
        answer = client.post("/api/v1/runs", content=content, headers=JSON)

        assert answer.status_code in {400, 422}, answer.text
    assert count(client) == 0


def test_a_body_over_a_mebibyte_is_refused_with_and_without_a_length(client: TestClient):
    large = b'{"notes": "' + b"x" * (1024 * 1024) + b'"}'
    chunks = (large[start : start + 65_536] for start in range(0, len(large), 65_536))

    for content in (large, chunks):
        answer = client.post("/api/v1/runs", content=content, headers=JSON)
        assert answer.status_code == 413, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert count(client) == 0


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json"]
)
def test_another_content_type_is_refused(client: TestClient, kind: str):
    answer = client.post("/api/v1/runs", content=b"{}", headers={"Content-Type": kind})

    assert answer.status_code == 415
    assert count(client) == 0


def test_a_body_without_a_content_type_is_refused(client: TestClient):
    assert client.post("/api/v1/runs", content=b"{}").status_code == 415


@pytest.mark.parametrize("run_id", ["x", "-1", "0", "1.5", str(10**30), "9" * 5000, "1e3", "%00", "1%20or%201", "٣"])
def test_an_invalid_id_is_not_found(client: TestClient, run_id: str):
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/clone")]:
        body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
        answer = client.request(method, f"/api/v1/runs/{run_id}{path}", **body)

        assert answer.status_code == 404, (method, path)
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"status": "done"}, "status"),
        ({"status": "queued,"}, "status"),
        ({"sort": "recipe"}, "sort"),
        ({"sort": "--id"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"group": 0}, "group"),
        ({"group": 10**30}, "group"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"cursor": "W10"}, "cursor"),  # []
        ({"cursor": "WzEsMiwzXQ"}, "cursor"),  # [1,2,3]
        ({"cursor": "WzEsIjIiXQ"}, "cursor"),  # [1,"2"]
        ({"cursor": "WzEsMTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMF0"}, "cursor"),  # [1, 10**27]
        ({"cursor": "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwLDFd"}, "cursor"),  # [10**28, 1]
        ({"cursor": "WyJcdWQ4MDAiLDFd", "sort": "name"}, "cursor"),  # ["\ud800", 1]
        ({"cursor": "WyJ4IiwxXQ", "sort": "created_at"}, "cursor"),  # ["x", 1]
        ({"cursor": "W3t9LDFd"}, "cursor"),  # [{}, 1]
        ({"q": "x" * 201}, "q"),
    ],
)
def test_an_invalid_query_names_the_parameter(client: TestClient, question: dict[str, Any], field: str):
    launched(client)
    answer = client.get("/api/v1/runs", params=question)

    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field


def test_unknown_urls_and_methods_return_the_same_error_format(client: TestClient):
    for method, address, status in [("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/runs", 405)]:
        answer = client.request(method, address)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
