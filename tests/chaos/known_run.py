"""The queue model's state of one run."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.workers.queue import MAX_STRIKES

HELD, ENDED = {"starting", "running"}, {"succeeded", "failed", "cancelled"}
AGAIN = {"killed", "hang", "device_lost"}


@dataclass
class Known:
    """The model's state of one run."""

    status: str = "queued"
    asked: str | None = None
    forced: bool = False
    attempt: int = 0
    is_lost: bool = False  # its latest attempt fell silent, and nobody has claimed it since
    has_started: bool = False
    strikes: int = 0
    said: int = 0  # events of the latest attempt that arrived
    rows: dict[int, int] = field(default_factory=dict)  # epoch -> attempt, of the shown curve
    furthest: int = 0  # epoch of the newest checkpoint of the trail
    trail_from: int = 1

    def is_ended(self) -> bool:
        return self.status in ENDED

    @property
    def may_return(self) -> bool:
        return self.is_lost and self.status == "queued"

    def take_up(self) -> None:
        """A message from its worker, perhaps after the run counted as lost."""
        if self.may_return:
            self.status, self.is_lost = "running" if self.has_started else "starting", False
            self.strikes = max(self.strikes - 1, 0)

    def strike(self) -> None:
        """A failure that may not be the run's own fault."""
        self.strikes += 1
        if self.strikes >= MAX_STRIKES and self.asked != "cancel":
            self.status = "failed"
        else:
            self.give_back()

    def give_back(self) -> None:
        self.status = {"cancel": "cancelled", "pause": "paused", None: "queued"}[self.asked]
