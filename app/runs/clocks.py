"""The three clocks of a run, and the share of the device's peak it used (MFU).

Train: the epochs only, as DAWNBench counts. Job: from claim to result. Cold: a job whose process was new and had no
compiled programs of earlier runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.metrics.images_trained import images_per_epoch
from app.records.models import ENDED
from app.runs.schemas import AttemptResponse, ClocksResponse, RunResponse

StartedData = Mapping[str, Any]  # a stored trainer.events.Started; older trainers sent fewer keys


def compute_clocks(run: RunResponse, attempts: Sequence[AttemptResponse]) -> ClocksResponse:
    """`attempts`: oldest first."""
    own = [one for one in attempts if one.number >= run.trail_from]
    succeeded = own[-1] if own and own[-1].outcome == "succeeded" else None
    started = [one.started for one in own if one.started]
    images = _images_trained(run, started[-1]) if started and _is_one_curve(run) else None
    job = (succeeded.ended_at - succeeded.claimed_at).total_seconds() if succeeded and succeeded.ended_at else None
    no_result = None if succeeded else "no result" if run.status in ENDED else "known when the run ends"
    not_cold = _cold_remark(succeeded) if succeeded else no_result
    mfu, mfu_remark = _mfu(run, started, images)
    return ClocksResponse(
        train_seconds=run.elapsed_seconds,
        job_seconds=job,
        job_remark=_job_remark(run, succeeded) if succeeded else no_result,
        cold_seconds=None if not_cold else job,
        cold_remark=not_cold,
        startup_seconds=started[-1].get("startup_seconds") if started else None,
        pictures=images,
        mfu=mfu,
        mfu_remark=mfu_remark,
    )


def _images_trained(run: RunResponse, started: StartedData) -> int:
    return run.last_epoch * images_per_epoch(run.recipe, started["train_images"], started["steps_per_epoch"])


def _is_one_curve(run: RunResponse) -> bool:
    """Whether `elapsed_seconds` covers exactly epochs 1 to `last_epoch`. While a later attempt repeats epochs of an
    earlier one, the curve may hold more."""
    return run.attempt == run.trail_from or run.status == "succeeded"


def _job_remark(run: RunResponse, succeeded: AttemptResponse) -> str | None:
    if point := _resume_point(succeeded):
        return f"attempt {succeeded.number} only, resumed {point}"
    return f"attempt {succeeded.number} only" if succeeded.number > run.trail_from else None


def _resume_point(attempt: AttemptResponse) -> str:
    """Empty if the attempt started from the beginning."""
    epoch, step = attempt.resumed_from_epoch, (attempt.started or {}).get("resumed_at_step")
    if step:
        return f"within epoch {epoch + 1}"
    return f"after epoch {epoch}" if epoch else ""


def _cold_remark(succeeded: AttemptResponse) -> str | None:
    """Why the job was not cold; None if it was."""
    started = succeeded.started or {}
    if _resume_point(succeeded):
        return "the run was resumed"
    if started.get("is_warm"):
        return "the process was started before the claim"
    match started.get("compile_cache"):
        case "empty" | "off":
            return None
        case "used":
            return "compiled programs of earlier runs were used"
    return "the trainer did not report the state of its compile cache"


def _mfu(run: RunResponse, started: Sequence[StartedData], images: int | None) -> tuple[float | None, str]:
    """Model FLOPs utilisation (Chowdhery et al., PaLM, 2022), and the source of the peak or why MFU is unknown."""
    if any(_device(one)[0] == "cpu" for one in started):
        return None, "not known on a CPU: no data sheet states its peak"
    if not run.last_epoch or not started:
        return None, "known after the first epoch"
    if images is None:
        return None, "known when the run ends: the curve still holds epochs of an earlier attempt"
    flops, peak = started[-1].get("training_flops"), started[-1].get("peak_flops")
    if not peak or started[-1].get("peak_source") != "datasheet":
        return None, "the peak of the device is unknown"
    if not flops or not run.elapsed_seconds:
        return None, "the trainer did not report the operations per image"
    if len({_device(one) for one in started}) > 1:
        return None, "the attempts ran on different devices or in different precisions"
    share = flops * images / run.elapsed_seconds / peak
    if share > 1:  # of an earlier version, or on a card with a higher clock than in the data sheet
        return None, "not shown: the run was faster than the peak in the data sheet"
    return share, "of the device's peak (datasheet)"


def _device(started: StartedData) -> tuple[Any, Any, Any]:
    facts = started["environment"]
    return facts.get("device"), facts.get("cpu"), facts.get("precision")
