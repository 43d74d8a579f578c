"""One action on many runs. Runs that refuse it are skipped and reported with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidRequest, NotFound
from app.records import files
from app.runs import lifecycle, runs
from app.web.deps import State

Verb = Literal["cancel", "pause", "resume", "delete", "tag", "untag", "clone"]
MAX_RUNS = 1000
MAX_TAGS = 20
BATCH_SIZE = 50  # runs per transaction, so that other writers do not wait for all of them


@dataclass
class BulkResult:
    done: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)  # run id -> reason
    made: list[int] = field(default_factory=list)  # ids of clones


def apply_to_runs(here: State, verb: Verb, run_ids: Sequence[int], tag: str = "") -> BulkResult:
    """Raises InvalidRequest for too many runs or a missing `tag`."""
    wanted = list(dict.fromkeys(run_ids))
    if len(wanted) > MAX_RUNS:
        raise InvalidRequest([("runs", f"at most {MAX_RUNS} at once")])
    if verb in {"tag", "untag"} and not tag:
        raise InvalidRequest([("tag", "is missing")])
    result = BulkResult()
    act = _action_for(here, verb, tag, result)
    for first in range(0, len(wanted), BATCH_SIZE):
        batch = wanted[first : first + BATCH_SIZE]
        with here.records.write() as session:
            for run_id in batch:
                try:
                    act(session, run_id, here.now())
                    result.done.append(run_id)
                except (Conflict, NotFound, InvalidRequest) as problem:
                    result.refused[run_id] = problem.detail
        if verb == "delete":
            for run_id in set(batch) - set(result.refused):
                files.remove_all_of(here.settings.data_dir, run_id)
    return result


def _action_for(here: State, verb: Verb, tag: str, result: BulkResult) -> Callable[[Session, int, datetime], object]:
    def change_tags(session: Session, run_id: int, now: datetime) -> None:
        tags = [one for one in runs.find(session, run_id).tags if one != tag]
        if verb == "tag" and len(tags) >= MAX_TAGS:
            raise Conflict(f"run {run_id} already has {MAX_TAGS} tags")
        runs.edit(session, run_id, {"tags": [*tags, tag] if verb == "tag" else tags}, now)

    def clone(session: Session, run_id: int, now: datetime) -> None:
        run = runs.find(session, run_id)
        clones = runs.relaunch(session, run, here.settings.datasets_dir, now, {}, name=run.name, parent_id=run.id)
        result.made += [one.id for one in clones]

    match verb:
        case "cancel":
            return lifecycle.cancel
        case "pause":
            return lifecycle.pause
        case "resume":
            return lifecycle.resume
        case "delete":
            return lambda session, run_id, now: runs.remove(session, run_id)
        case "clone":
            return clone
    return change_tags
