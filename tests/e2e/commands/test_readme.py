"""What the README tells a newcomer to type works as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.e2e.support.processes import ROOT, Site

README = (ROOT / "README.md").read_text()


def block(language: str, containing: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return str(next(text for text in found if containing in text))


@pytest.mark.keras
def test_the_python_example_launches_a_run_and_follows_it_to_the_end(site: Site) -> None:
    site.serve()
    site.work()
    script = block("python", "urllib").replace("http://127.0.0.1:8000", site.url)

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=150, check=False)

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [f"epoch {epoch}" for epoch in (1, 2, 3, 4)]
    assert lines[-1] == "succeeded"


def test_the_curl_example_queues_a_run(site: Site) -> None:
    site.serve()
    command = block("sh", "curl").replace("http://127.0.0.1:8000", site.url)

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)

    run = json.loads(done.stdout)["runs"][0]
    assert (run["name"], run["epochs"], run["recipe"]["schedule"]["max_lr"]) == ("from curl", 4, 0.04)
    assert site.run(run["id"])["status"] == "queued"


def test_every_verb_and_file_that_the_readme_names_is_there() -> None:
    verbs = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert named and named <= verbs
    links = re.findall(r"\]\(([A-Za-z_./-]+)\)", README)
    assert links and not [link for link in links if not (ROOT / link).exists()]
