"""What a run's records and its published events must be after any reports: recomputed from lists, in plain Python."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from trainer.events import event_adapter

Values = dict[str, Any]

TARGET, EPOCHS, STEPS_PER_EPOCH, RECENT = 0.8, 200, 30, 5
OVER, NOT_YOURS = "is over", "no longer yours"


def add(so_far: float | None, more: float | None) -> float | None:
    return None if so_far is None or more is None else so_far + more


class RunModel:
    """One run. `rows` are the stored epochs in their order of arrival; `curve` are those that are shown, in the order
    in which they count: that of arrival, and once a later attempt has replaced some, that of the epochs."""

    def __init__(self, *, has_tta: bool) -> None:
        self.has_tta = has_tta
        self.status, self.strikes = "starting", 0
        self.failure: str | None = None
        self.reason: str | None = None
        self.number = 1
        self.attempts: dict[int, Values] = {1: self._new_attempt()}
        self.rows: list[Values] = []
        self.curve: list[Values] = []
        self.energies: list[float | None] = []  # Wh so far, at each epoch of the curve
        self.last: Values = {}
        self.predictions: tuple[str, str | None] | None = None
        self.published: list[Values] = []  # event and data of what the latest report publishes

    def lose(self) -> None:
        """The worker falls silent."""
        self.attempts[self.number]["outcome"] = "lost"
        self.strikes += 1
        self.status, self.failure, self.reason = ("queued", None, None) if self.strikes < 3 else ("failed", "lost", "")

    def claim(self) -> None:
        self.number += 1
        self.attempts[self.number] = self._new_attempt()
        self.status, self.failure, self.reason = "starting", None, None

    def report(self, number: int, first: int, events: list[Values]) -> int | str:
        """The sequence number that is expected next, or words of the refusal."""
        self.published = []
        if number != self.number:
            return NOT_YOURS
        attempt = self.attempts[number]
        if attempt["outcome"] == "lost" and self.status == "queued":
            attempt["outcome"] = None
            self.status = "running" if attempt["started"] else "starting"
            self.strikes = max(self.strikes - 1, 0)
            self._publish("status", self.summary())
        if attempt["outcome"]:
            return OVER
        for seq, event in enumerate(events, first):
            if seq == attempt["next_seq"]:
                attempt["next_seq"] += 1
                self._take(attempt, event)
        return int(attempt["next_seq"])

    def summary(self) -> Values:
        columns = self.columns()
        return {
            "id": 1, "name": "modelled", "status": self.status, "requested": None, "attempt": self.number,
            "last_epoch": columns["last_epoch"], "epochs": EPOCHS, "best_val_accuracy": columns["best_val_accuracy"],
            "best_epoch": columns["best_epoch"], "elapsed_seconds": columns["elapsed_seconds"],
            "failure": self.failure, "reason": self.reason, "concern": None, "ended": self.status == "failed",
        }  # fmt: skip

    def columns(self) -> Values:
        """Of the run."""
        clock = list(accumulate(row["seconds"] for row in self.curve))
        scored = [row for row in self.curve if self._accuracy(row) is not None]
        best: Values = max(scored, key=lambda row: self._accuracy(row) or 0, default={})  # the first of equal ones
        reached = [at for at, row in zip(clock, self.curve, strict=True) if (self._accuracy(row) or 0) >= TARGET]
        return {
            "status": self.status,
            "strikes": self.strikes,
            "failure": self.failure,
            "last_epoch": self.last.get("epoch", 0),
            "last_val_accuracy": self._accuracy(self.last),
            "last_plain_accuracy": self._without_tta(self.last),
            "best_val_accuracy": self._accuracy(best),
            "best_plain_accuracy": self._without_tta(best),
            "best_epoch": best.get("epoch"),
            "time_to_target": reached[0] if reached else None,
            "elapsed_seconds": clock[-1] if clock else 0,
            "spent_seconds": sum(row["seconds"] for row in self.rows),
            "tta_seconds": sum(row["tta_seconds"] for row in self.curve),
            "energy_wh": self.energies[-1] if self.energies else None,
        }

    def milestones(self) -> list[tuple[float, ...]]:
        """(epoch, elapsed seconds, accuracy, Wh) of each epoch that was better than all before it."""
        found: list[tuple[float, ...]] = []
        clock = accumulate(row["seconds"] for row in self.curve)
        for row, elapsed, energy in zip(self.curve, clock, self.energies, strict=True):
            accuracy = self._accuracy(row)
            if accuracy is not None and (not found or accuracy > found[-1][2]):
                found.append((row["epoch"], elapsed, accuracy, -1.0 if energy is None else energy))
        return found

    def _take(self, attempt: Values, event: Values) -> None:
        data = event_adapter.validate_python(event).model_dump(mode="json") | {"run": 1}
        kind = event["event"]
        if kind == "step":
            return self._publish("step", data | self._step(event))
        if kind == "epoch":
            data |= {} if self.has_tta else {"tta_accuracy": None, "tta_seconds": 0.0}
            return self._take_epoch(data)
        if kind == "started":
            data |= {"images_per_epoch": event["train_images"]}
            self.status, attempt["started"] = "running", data
            self._publish("status", self.summary())
        elif kind == "checkpoint":
            if (event["epoch"], event["step"]) > max(one["checkpoint"] for one in self.attempts.values()):
                self.strikes = 0
            attempt["checkpoint"], attempt["trouble"] = (event["epoch"], event["step"]), None
        elif kind == "not_saved":
            attempt["trouble"] = event["message"]
        elif kind == "evidence":
            attempt["evidence"] = [*attempt["evidence"], data][:20]
        elif kind == "failed":
            self.failure, self.reason = event["kind"], event["message"]
        return self._publish(kind, data)

    def _take_epoch(self, data: Values) -> None:
        data |= {"attempt": self.number}
        if any((row["attempt"], row["epoch"]) == (self.number, data["epoch"]) for row in self.rows):
            return
        predictions, confidences = data.pop("predictions"), data.pop("confidences")
        if predictions is not None:
            self.predictions = (predictions, confidences)
        self.rows.append(data)
        self.last = data
        if any(row["attempt"] < self.number and row["epoch"] >= data["epoch"] for row in self.rows):
            newest = {row["epoch"]: row for row in sorted(self.rows, key=lambda row: row["attempt"])}
            self.curve = [newest[epoch] for epoch in sorted(newest)]
            self.energies = list(accumulate((row["energy_wh"] for row in self.curve), add))
        else:
            self.curve.append(data)
            so_far = self.energies[-1] if self.energies else None
            self.energies.append(data["energy_wh"] if data["epoch"] == 1 else add(so_far, data["energy_wh"]))
        self._publish("epoch", data | {"elapsed_seconds": sum(row["seconds"] for row in self.curve)})

    def _step(self, event: Values) -> Values:
        within = event["step"] / STEPS_PER_EPOCH
        done = max(event["epoch"] - 1, 0) + within
        recent = [row["seconds"] + row["val_seconds"] for row in self.rows[-RECENT:]]
        guess = event["seconds"] / within if within else None
        per_epoch = sum(recent) / len(recent) if recent else guess
        is_training = event["phase"] == "training"
        where = f"epoch {event['epoch']}, step {event['step']} of {STEPS_PER_EPOCH}"
        return {
            "epochs": EPOCHS,
            "progress": done / EPOCHS,
            "elapsed_seconds": self.columns()["elapsed_seconds"] + (event["seconds"] if is_training else 0),
            "eta_seconds": None if per_epoch is None else (EPOCHS - done) * per_epoch,
            "words": where if is_training else event["phase"],
        }

    def _accuracy(self, row: Values) -> float | None:
        """That ranks the run."""
        with_tta: float | None = row.get("tta_accuracy")
        return row.get("val_accuracy") if with_tta is None else with_tta

    def _without_tta(self, row: Values) -> float | None:
        return None if row.get("tta_accuracy") is None else row["val_accuracy"]

    def _publish(self, event: str, data: Values) -> None:
        self.published.append({"event": event, "data": data})

    @staticmethod
    def _new_attempt() -> Values:
        return {"next_seq": 0, "outcome": None, "started": None, "checkpoint": (0, 0), "trouble": None, "evidence": []}
