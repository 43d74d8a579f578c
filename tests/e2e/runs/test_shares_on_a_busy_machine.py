"""A run beside a load of twice the cores: no share of anything is above 100 %, in JSON and on pages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.app.support.page_text import words
from tests.e2e.support.processes import Site, until

SHARES = re.compile(r"accuracy|busy|mfu|progress$|probability|recall|pixels")
PAGES = (
    "/",
    "/runs",
    "/runs/{run}",
    "/runs/{run}/learned",
    "/groups/{recipe}",
    "/board?dataset=digits",
    "/compare?runs={run}",
)


@contextmanager
def busy_cores() -> Iterator[None]:
    """Two endless loops for each core."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * len(os.sched_getaffinity(0)))
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def shares_in(found: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Numbers under a key that names a share, with their path."""
    if isinstance(found, dict):
        for key, value in found.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and SHARES.search(key):
                yield f"{path}.{key}", value
            yield from shares_in(value, f"{path}.{key}")
    elif isinstance(found, list):
        for number, value in enumerate(found):
            yield from shares_in(value, f"{path}[{number}]")


@pytest.mark.keras
def test_no_share_is_above_100_per_cent(site: Site):
    site.serve()
    site.work()
    with busy_cores():
        recipe = {"epochs": 3, "tta": "flip", "dataset": {"name": "digits"}}
        run = site.launch(preset="quickstart", recipe=recipe)
        seen: dict[str, float] = {}

        def has_ended() -> bool:
            found = site.run(run)
            for path, share in shares_in(found):
                seen[path] = max(share, seen.get(path, 0.0))
            return bool(found["status"] == "succeeded")

        until(has_ended, 250, "it ends", every=0.3)
        epochs = site.get(f"/api/v1/runs/{run}/epochs")
        seen |= dict(shares_in(epochs, "epochs"))
        ended = site.run(run)
        texts = {}
        for page in PAGES:
            address = page.format(run=run, recipe=ended["recipe_hash"])
            with urllib.request.urlopen(site.url + address, timeout=60) as answer:
                texts[address] = words(answer.read().decode())

    assert any(path.endswith(".busy") for path in seen) and any(path.endswith(".progress") for path in seen)
    assert {path: share for path, share in seen.items() if not 0 <= share <= 1} == {}
    rows = epochs["epochs"] if isinstance(epochs, dict) else epochs
    assert all(row["input_seconds"] <= row["seconds"] for row in rows)
    assert max(row["busy"] for row in rows) > 0.9, "the machine was busy"
    clocks = ended["clocks"]
    assert (clocks["mfu"], clocks["mfu_remark"]) == (None, "not known on a CPU: no data sheet states its peak")
    for address, text in texts.items():
        percents = [float(one) for one in re.findall(r"(?<![\w.])(\d+(?:\.\d+)?) ?%", text)]
        assert percents, address
        assert max(percents) <= 100, (address, max(percents))
    assert "MFU – not known on a CPU" in texts[f"/runs/{run}"]
