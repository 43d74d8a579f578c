"""Runs of one recipe that differ in their seed alone, folded into one line: in the list of runs and in comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Launched(Protocol):
    """What decides which runs belong together: a run, or a row with these columns."""

    @property
    def id(self) -> int: ...
    @property
    def recipe_hash(self) -> str: ...
    @property
    def hardware(self) -> str | None: ...
    @property
    def fingerprint(self) -> str | None: ...


OneRun = TypeVar("OneRun", bound=Launched)


def fold_runs(runs: Sequence[OneRun]) -> list[list[OneRun]]:
    """Runs of the same recipe, hardware and data together, in the order of their first runs.

    A run that has not started has neither hardware nor data yet: it joins the run of its recipe that started last.
    """
    latest: dict[str, OneRun] = {}  # the newest run of each recipe that has started
    for run in runs:
        if run.hardware is not None and (run.recipe_hash not in latest or run.id > latest[run.recipe_hash].id):
            latest[run.recipe_hash] = run
    folds: dict[tuple[str, str | None, str | None], list[OneRun]] = {}
    for run in runs:
        place = run if run.hardware is not None else latest.get(run.recipe_hash, run)
        folds.setdefault((run.recipe_hash, place.hardware, place.fingerprint), []).append(run)
    return list(folds.values())
