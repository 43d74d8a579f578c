"""The summary document: a self-contained file that shows text of users as text, never as markup."""

from __future__ import annotations

import json
import re

import pytest
from fastapi.testclient import TestClient

from app.web.deps import State
from app.web.templates import markdown
from tests.app.board.test_ranking import ran
from tests.app.support.cast import SPACE

EVIL = '</title><script>alert(1)</script><img src=x onerror="alert(1)">'


def summary(client: TestClient, **form: object) -> str:
    answer = client.post("/reports", data=form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith("attachment; ")
    return answer.text


def without_plotly(text: str) -> str:
    return re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_it_has_results_recipes_epochs_and_notes(client: TestClient, state: State):
    runs = [ran(client, state, (0.5, 0.95), seed=seed, lr=0.1) for seed in range(2)]
    other = ran(client, state, (0.6, 0.9), lr=0.2)
    client.patch(f"/api/v1/runs/{other}", json={"notes": "It was *late*."}).raise_for_status()
    group = client.get(f"/api/v1/runs/{runs[0]}").json()["recipe_hash"]

    text = without_plotly(
        summary(client, runs=str(other), groups=group, title="Rates", notes="# One\n\n| a | b |\n|-|-|\n| 1 | 2 |")
    )
    assert "<title>Rates</title>" in text and "<h1>One</h1>" in text and "<td>2</td>" in text
    assert "It was <em>late</em>." in text
    assert "<code>schedule.lr</code>" in text
    assert f"95.00{SPACE}% ± 0.00{SPACE}%" in text and "2 of 2 reached the target" in text
    assert f"60.00{SPACE}%" in text, "an epoch of the single run"
    charts = json.loads(text.partition('id="charts">')[2].partition("</script>")[0])
    assert [chart["title"] for chart in charts] == ["Validation accuracy", "Validation loss", "Learning rate"]


def test_it_needs_no_network(client: TestClient, state: State):
    run = ran(client, state, (0.5, 0.95))
    text = without_plotly(summary(client, runs=run, notes="![seen](https://elsewhere.example/seen.png)"))
    text = text.replace('!<a href="https://elsewhere.example/seen.png">seen</a>', "", 1)
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert "@import" not in text and "url(" not in text


def test_text_of_users_is_never_markup(client: TestClient, state: State):
    run = ran(client, state, (0.5, 0.95))
    client.patch(f"/api/v1/runs/{run}", json={"name": EVIL.replace("\n", ""), "notes": EVIL}).raise_for_status()
    text = without_plotly(summary(client, runs=run, title=EVIL, notes=f"{EVIL}\n\n[x](javascript:alert(1))"))
    assert "<script>alert" not in text and "<img" not in text and 'href="javascript' not in text


@pytest.mark.parametrize(
    ("form", "status", "field"),
    [
        ({}, 422, "runs"),
        ({"runs": "x"}, 422, "runs"),
        ({"runs": "999"}, 404, None),
        ({"runs": "1", "title": "x" * 201}, 422, "title"),
    ],
)
def test_an_invalid_form_names_its_field(client: TestClient, form: dict[str, str], status: int, field: str | None):
    answer = client.post("/reports", data=form)
    assert answer.status_code == status
    assert field is None or field in answer.text


def test_markdown_is_commonmark_with_tables():
    assert markdown("~~a~~ **b**") == "<p><s>a</s> <strong>b</strong></p>\n"
    assert markdown("") == ""
