"""The locked requirements: hashed, from nowhere special, and enough for the web process."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.app.support.source_tree import ROOT


@pytest.mark.parametrize("name", ["web", "worker-cpu", "worker-gpu", "dev"])
def test_locked_requirements_have_hashes_and_no_addresses(name: str):
    text = (ROOT / f"requirements-{name}.txt").read_text()
    requirements = [one for one in re.split(r"\n(?=\S)", text.replace("\\\n", " ")) if not one.startswith("#")]

    assert len(requirements) > 10
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)", text, re.MULTILINE)
    for requirement in requirements:
        assert re.match(r"[\w.-]+==\S+", requirement), requirement[:80]
        assert "--hash=sha256:" in requirement, requirement[:80]


def test_the_web_process_needs_nothing_but_its_own_requirements():
    program = (
        "import json, sys, app.__main__; from importlib.metadata import packages_distributions as named;"
        "tops, brought = {name.partition('.')[0] for name in sys.modules}, named();"
        "print(json.dumps(sorted({d.lower() for top in tops for d in brought.get(top, [])})))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    required = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements-web.txt").read_text(), re.MULTILINE))

    assert {"fastapi", "sqlalchemy", "pysqlite3"} <= loaded
    taken_where_there = {"pygments", "setuptools"}  # libraries look for them and do without
    assert not {name.replace("_", "-") for name in loaded} - required - taken_where_there
