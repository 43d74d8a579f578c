"""The worker's four verbs over HTTP. Must not know processes or what the events mean.

An answer, or: `Unreachable` (try again later; nothing is lost), `NotYours` (stop the child), `Unreadable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from trainer.spool import Batch

WAIT_S = 20.0  # how long a claim may wait in the app for a run
CALL_S = 10.0
DENIED = {401, 403}
UNREADABLE = {400, 413, 415, 422}


class Unreachable(Exception):
    """The app is down, restarting, or in trouble of its own."""


class NotYours(Exception):
    """Another worker holds the run by now, or it is over."""


class Denied(Unreachable):
    """A wrong token, or a host name that the app does not know. In mid-run it may yet be put right."""


class Unreadable(Exception):
    """The app cannot read what was sent, and never will."""


@dataclass(frozen=True)
class Claim:
    """A run to work on. `attempt` goes into every further call."""

    run: int
    attempt: int
    recipe: dict[str, Any]


class Client:
    """One worker's connection to the app. Safe from several threads."""

    def __init__(self, server: str, token: str) -> None:
        self._http = httpx2.Client(
            base_url=f"{server.rstrip('/')}/api/v1/worker",
            headers={"Authorization": f"Bearer {token}"},
            timeout=CALL_S,
            trust_env=False,  # a proxy of the house is not the way to the app
        )

    def claim(self, worker: str, device: str, backends: list[str], wait_s: float = WAIT_S) -> Claim | None:
        """Ask for a run; None when there was none for `wait_s` seconds."""
        body = {"worker": worker, "device": device, "backends": backends, "wait_s": wait_s}
        answer = self._post("claim", body, timeout=wait_s + CALL_S)
        return Claim(answer["run"], answer["attempt"], answer["recipe"]) if answer else None

    def report(self, claim: Claim, batch: Batch) -> None:
        """Deliver what the child said. Delivering it twice is free."""
        body = {
            "first_seq": batch.first_seq,
            "events": batch.events,
            "log_offset": batch.log_offset,
            "log": batch.log,
        }
        self._post(f"{_path(claim)}/report", body)

    def beat(self, claim: Claim) -> str:
        """Keep the lease; answers the command: none, pause, cancel, cancel_now."""
        return str(self._post(f"{_path(claim)}/beat", None)["command"])

    def finish(self, claim: Claim, outcome: str, exit_code: int | None, reason: str | None) -> None:
        """The attempt is over: succeeded, failed, cancelled, or released to the queue."""
        self._post(f"{_path(claim)}/finish", {"outcome": outcome, "exit_code": exit_code, "reason": reason})

    def close(self) -> None:
        self._http.close()

    def _post(self, path: str, body: dict[str, Any] | None, timeout: float = CALL_S) -> Any:
        try:
            answer = self._http.post(path, json=body, timeout=timeout)
        except httpx2.TransportError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from None
        what = f"{answer.status_code} to {path}: {answer.text[:500]}"
        if answer.status_code == httpx2.codes.CONFLICT:
            raise NotYours(what)
        if answer.status_code in UNREADABLE:
            raise Unreadable(what)
        if answer.status_code in DENIED:
            raise Denied(what)
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            raise Unreachable(what)
        return answer.json() if answer.content else None


def _path(claim: Claim) -> str:
    return f"runs/{claim.run}/attempts/{claim.attempt}"
