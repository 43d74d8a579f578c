"""The worker's HTTP client.

Every call may raise `Unreachable` (try again later; nothing is lost), `LeaseLost` (stop the child) or `Unreadable`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import httpx2

from trainer.machine.device_load import ReadLoad
from trainer.protocol import Command, Ending
from trainer.worker.spool import Batch

WAIT_S = 20.0  # how long a claim may wait in the app for a run
CALL_S = 10.0
FLUSH_S = 120.0  # how long the app may take to bring a file to its disk
CHUNK_BYTES = 256 * 1024  # bytes of a file sent or received at once
DENIED_STATUSES = {401, 403}
UNREADABLE_STATUSES = {400, 413, 415, 422}


class Unreachable(Exception):
    """The app is down, restarting, or has an internal error."""


class LeaseLost(Exception):
    """Another worker holds the run by now, or the run has ended."""


class NotFound(Unreachable):
    """The app answered 404: it does not have it, or not any more."""


class Denied(Unreachable):
    """Wrong token, or a host name that the app does not accept. During a run this may still be fixed."""


class Unreadable(Exception):
    """The app rejects the content, and would reject it again; or a download is damaged."""


@dataclass(frozen=True)
class Claim:
    """A run to work on. `attempt` goes into every further call."""

    run: int
    attempt: int
    recipe: dict[str, Any]
    trail: str  # the checkpoints that belong together
    known_epoch: int | None  # the app has the rows of epochs 1 to this; None: no attempt on this trail yet
    uploaded: dict[str, Any] | None  # epoch, step, sha256, bytes of the checkpoint that the app has
    next: dict[str, Any] | None = None  # the recipe of the run that is next in the queue, as far as the app knows now


@dataclass(frozen=True)
class Task:
    """A short task beside a run: `look` predicts an uploaded image with a trained model, `export` converts one."""

    number: int
    kind: Literal["look", "export"]
    run: int
    sha256: str  # of the weights
    format: str | None  # of an export


class Client:
    """One worker's connection to the app. Safe from several threads."""

    def __init__(self, server: str, token: str, gauge: ReadLoad | None = None) -> None:
        """`gauge`: of the worker's device; claims and beats take its readings along."""
        self._gauge = gauge
        self._http = httpx2.Client(
            base_url=f"{server.rstrip('/')}/api/v1/worker",
            headers={"Authorization": f"Bearer {token}"},
            timeout=CALL_S,
            trust_env=False,  # never through a proxy of the environment
        )

    def claim(self, worker: str, device: str, backends: list[str], wait_s: float = WAIT_S) -> Claim | None:
        """Ask for a run; None when there was none for `wait_s` seconds."""
        body = {"worker": worker, "device": device, "backends": backends, "wait_s": wait_s} | self._measured()
        answer = self._post("claim", body, timeout=wait_s + CALL_S)
        if not answer:
            return None
        resume = answer["resume"] or {"known_epoch": None, "checkpoint": None}
        return Claim(
            answer["run"],
            answer["attempt"],
            answer["recipe"],
            answer["trail"],
            resume["known_epoch"],
            resume["checkpoint"],
            answer.get("next"),
        )

    def claim_task(self, worker: str, device: str, backends: list[str], wait_s: float = WAIT_S) -> Task | None:
        """Ask for a task; None when there was none for `wait_s` seconds."""
        body = {"kind": "task", "worker": worker, "device": device, "backends": backends, "wait_s": wait_s}
        found = self._post("claim", body, timeout=wait_s + CALL_S)
        return Task(found["task"], found["what"], found["run"], found["sha256"], found["format"]) if found else None

    def report_trouble(self, worker: str, device: str, backends: list[str], trouble: str) -> None:
        """Report why this worker claims no run."""
        body = {"worker": worker, "device": device, "backends": backends, "wait_s": 0, "trouble": trouble}
        self._post("claim", body)

    def report(self, claim: Claim, batch: Batch) -> None:
        """Deliver events and log; delivering a batch twice is harmless. Raises LeaseLost if the app lacks earlier
        events: its database is not the one that received them."""
        body = {
            "first_seq": batch.first_seq,
            "events": batch.events,
            "log_offset": batch.log_offset,
            "log": batch.log,
        }
        answer = self._post(f"{_path(claim)}/report", body)
        if answer["next_seq"] < batch.first_seq + len(batch.events):
            raise LeaseLost(f"the app lacks events before {batch.first_seq}")

    def beat(self, claim: Claim) -> Command:
        """Renew the lease; returns what to do."""
        command: Command = self._post(f"{_path(claim)}/beat", self._measured() or None)["command"]
        return command

    def finish(self, claim: Claim, ending: Ending) -> None:
        """Report the end of the attempt."""
        self._post(f"{_path(claim)}/finish", vars(ending))

    def upload_artifact(self, claim: Claim, name: str, path: Path, epoch: int, step: int) -> None:
        """Upload a file. Raises OSError if it cannot be read."""
        self._put(f"{_path(claim)}/artifacts/{name}", path, epoch=epoch, step=step)

    def fetch_checkpoint(self, claim: Claim, path: Path, is_wanted: Callable[[], bool]) -> None:
        """Download the app's checkpoint to `path`. Raises Unreadable if it arrives damaged.

        Raises Unreachable between two chunks once it is not wanted any more.
        """
        assert claim.uploaded is not None
        self._fetch(f"{_path(claim)}/checkpoint", path, claim.uploaded["sha256"], is_wanted)

    def fetch_weights(self, task: Task, path: Path) -> None:
        """Download the weights for a task. Raises Unreadable if they arrive damaged."""
        self._fetch(f"tasks/{task.number}/weights", path, task.sha256)

    def fetch_picture(self, task: Task, path: Path) -> None:
        """Download the uploaded image for a task. It has not been validated."""
        self._fetch(f"tasks/{task.number}/picture", path)

    def answer_task(self, task: Task, body: dict[str, Any]) -> None:
        """Send the result: {look} or {problem, field}."""
        self._post(f"tasks/{task.number}/answer", body)

    def upload_task_file(self, task: Task, path: Path) -> None:
        """Send the exported file."""
        self._put(f"tasks/{task.number}/file", path)

    def close(self) -> None:
        self._http.close()

    def _measured(self) -> dict[str, Any]:
        return {} if self._gauge is None else {"gauge": vars(self._gauge())}

    def _put(self, address: str, path: Path, **params: Any) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.seek(0, 2)
            file.seek(0)
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            timeout = httpx2.Timeout(CALL_S, read=FLUSH_S)
            params = {"sha256": digest, **params}
            self._send("PUT", address, content=_read_chunks(file), headers=headers, params=params, timeout=timeout)

    def _fetch(self, address: str, path: Path, sha256: str = "", is_wanted: Callable[[], bool] = lambda: True) -> None:
        digest, part = hashlib.sha256(), path.with_name(f".{path.name}.part")
        try:
            with self._http.stream("GET", address) as answer, part.open("wb") as file:
                if answer.is_error:
                    answer.read()
                    _raise_for_status(answer, address)
                for piece in answer.iter_bytes(CHUNK_BYTES):
                    if not is_wanted():
                        raise Unreachable("cancelled")
                    digest.update(piece)
                    file.write(piece)
        except httpx2.TransportError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from None
        else:
            if sha256 and digest.hexdigest() != sha256:
                raise Unreadable(f"{path.name} was damaged in transit")
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)

    def _post(self, path: str, body: dict[str, Any] | None, timeout: float = CALL_S) -> Any:
        return self._send("POST", path, json=body, timeout=timeout)

    def _send(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._http.request(method, path, **more)
        except httpx2.TransportError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from None
        _raise_for_status(answer, path)
        return answer.json() if answer.content else None


def _raise_for_status(answer: httpx2.Response, path: str) -> None:
    what = f"{answer.status_code} to {path}: {answer.text[:500]}"
    if answer.status_code == httpx2.codes.CONFLICT:
        raise LeaseLost(what)
    if answer.status_code in UNREADABLE_STATUSES:
        raise Unreadable(what)
    if answer.status_code in DENIED_STATUSES:
        raise Denied(what)
    if answer.status_code == httpx2.codes.NOT_FOUND:
        raise NotFound(what)
    if answer.status_code >= httpx2.codes.BAD_REQUEST:
        raise Unreachable(what)


def _read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK_BYTES):
        yield piece


def _path(claim: Claim) -> str:
    return f"runs/{claim.run}/attempts/{claim.attempt}"
