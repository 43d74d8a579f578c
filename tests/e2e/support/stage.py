"""A site with something to look at: recipes repeated, compared and swept on digits, a run in progress, a queue.

Everything on it was really trained. Used by the pictures of the documents and by those who look at every page.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.e2e.support.processes import Site, until

EPOCHS, SEEDS, PATIENCE_S = 8, 3, 400


@dataclass(frozen=True)
class Stage:
    site: Site
    worker: subprocess.Popen[bytes]
    finished: int  # a run that has ended
    running: int
    groups: tuple[str, str]  # two recipes, three seeds each

    def rest(self) -> None:
        """Its worker leaves, if it is still there: the run in progress waits for another."""
        if self.worker.poll() is None:
            self.worker.terminate()
            self.worker.wait(60)

    @property
    def pages(self) -> dict[str, str]:
        """name -> address."""
        return {
            "home": "/",
            "runs": "/runs",
            "form": "/runs/new?preset=quickstart",
            "run": f"/runs/{self.finished}",
            "running": f"/runs/{self.running}",
            "board": "/board?target=0.9",
            "compare": f"/compare?groups={','.join(self.groups)}",
            "group": f"/groups/{self.groups[0]}",
            "previews": "/previews?preset=quickstart",
            "architecture": "/architecture",
            "notices": "/notices",
            "style": "/style",
        }


def set_stage(site: Site) -> Stage:
    """Some two minutes of training on two cores."""
    site.serve()
    worker = site.work()
    short = {"epochs": EPOCHS, "target_accuracy": 0.9}
    weekly = {"preset": "quickstart", "repeats": SEEDS, "tags": ["week 48"]}
    notes = "The **first** recipe, for comparison."
    first = site.post("/api/v1/runs", {**weekly, "name": "Quickstart", "recipe": short, "notes": notes})["runs"]
    faster = {**short, "schedule": {"max_lr": 0.1}}
    second = site.post("/api/v1/runs", {**weekly, "name": "Twice the rate", "recipe": faster})["runs"]
    smooth = {
        "preset": "quickstart",
        "name": "With smoothed labels",
        "recipe": {**short, "loss": {"label_smoothing": 0.1}},
    }
    third = site.post("/api/v1/runs", smooth)["runs"]
    for run in (*first, *second, *third):
        until(lambda run=run: site.run(run["id"])["status"] == "succeeded", PATIENCE_S, f"run {run['id']} ends")  # type: ignore[misc]
    long = {"epochs": 300, "target_accuracy": 0.9}
    running = site.launch(preset="quickstart", name="A long one", recipe=long)
    for seed in (1, 2):
        site.launch(preset="quickstart", name=f"Waits, seed {seed}", recipe={**long, "seed": seed})
    until(lambda: site.run(running)["last_epoch"] >= 12, PATIENCE_S, "some epochs of the long run are there")
    return Stage(site, worker, first[0]["id"], running, (first[0]["recipe_hash"][:12], second[0]["recipe_hash"][:12]))
