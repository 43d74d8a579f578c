"""The three clocks of a run, and what share of its device's peak it used. Pure functions of a run and its attempts.

Train: the epochs alone, as DAWNBench counts. Job: from the claim to the result. Cold: a job whose process was new and
had no compiled programs of earlier runs. Must not know the database, HTTP or HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.records.models import ENDED
from app.runs.schemas import AttemptResponse, ClocksResponse, RunResponse

Said = Mapping[str, Any]  # of trainer.events.Started, as it is kept; older trainers say less


def compute_clocks(run: RunResponse, attempts: Sequence[AttemptResponse]) -> ClocksResponse:
    """`attempts`: oldest first."""
    own = [one for one in attempts if one.number >= run.trail_from]
    done = own[-1] if own and own[-1].outcome == "succeeded" else None
    said = [one.started for one in own if one.started]
    pictures = run.last_epoch * images_per_epoch(run.recipe, said[-1]) if said and _is_one_curve(run) else None
    job = (done.ended_at - done.claimed_at).total_seconds() if done and done.ended_at else None
    no_result = None if done else "there is no result" if run.status in ENDED else "known at the end"
    not_cold = _cold_remark(done) if done else no_result
    mfu, mfu_remark = _mfu(run, said, pictures)
    return ClocksResponse(
        train_seconds=run.elapsed_seconds,
        job_seconds=job,
        job_remark=_job_remark(run, done) if done else no_result,
        cold_seconds=None if not_cold else job,
        cold_remark=not_cold,
        startup_seconds=said[-1].get("startup_seconds") if said else None,
        pictures=pictures,
        mfu=mfu,
        mfu_remark=mfu_remark,
    )


def images_per_epoch(recipe: Mapping[str, Any], started: Said) -> int:
    """How many the net is trained on: all, or whole batches where the rest is left out. Two pictures that mixup made
    one are one."""
    mixup = recipe.get("mixup")
    if recipe.get("last_batch") == "drop" or (mixup and mixup["pairing"] == "disjoint"):
        return int(started["steps_per_epoch"] * recipe["batch_size"])
    return int(started["train_images"])


def _is_one_curve(run: RunResponse) -> bool:
    """Whether exactly epochs 1 to the last one make `elapsed_seconds`. While a later attempt goes over epochs of an
    earlier one, more may be shown."""
    return run.attempt == run.trail_from or run.status == "succeeded"


def _job_remark(run: RunResponse, done: AttemptResponse) -> str | None:
    if after := _resume_point(done):
        return f"of attempt {done.number} alone, which went on {after}"
    return f"of attempt {done.number} alone" if done.number > run.trail_from else None


def _resume_point(attempt: AttemptResponse) -> str:
    """From where it went on; empty: from the beginning."""
    epoch, step = attempt.resumed_from_epoch, (attempt.started or {}).get("resumed_at_step")
    if step:
        return f"within epoch {epoch + 1}"
    return f"after epoch {epoch}" if epoch else ""


def _cold_remark(done: AttemptResponse) -> str | None:
    """Why its job was not a cold one; None: it was."""
    said = done.started or {}
    if _resume_point(done):
        return "the run was resumed"
    if said.get("is_warm"):
        return "its process was warm: ready before the claim"
    match said.get("compile_cache"):
        case "empty" | "off":
            return None
        case "used":
            return "compiled programs of earlier runs were used"
    return "the trainer did not say what its compile cache held"


def _mfu(run: RunResponse, said: Sequence[Said], pictures: int | None) -> tuple[float | None, str]:
    """Model FLOPs utilisation (Chowdhery et al., PaLM, 2022), and of which peak, or why it is not known."""
    if not run.last_epoch or not said:
        return None, "known after the first epoch"
    if pictures is None:
        return None, "known at the end: an earlier attempt's epochs are in the curve"
    flops, peak = said[-1].get("training_flops"), said[-1].get("peak_flops")
    if not peak:
        return None, "the peak of the device is not known"
    if not flops or not run.elapsed_seconds:
        return None, "the trainer did not say how many operations a picture costs"
    if len({_device(one) for one in said}) > 1:
        return None, "its attempts ran on different devices"
    share = flops * pictures / run.elapsed_seconds / peak
    return share, f"of the device's peak ({said[-1].get('peak_source') or 'source unknown'})"


def _device(started: Said) -> tuple[Any, Any]:
    facts = started["environment"]
    return facts.get("device"), facts.get("cpu")
