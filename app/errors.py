"""The errors of requests. app/web/error_handlers.py turns each into a page or JSON.

Problem             status 400
  InvalidRequest    422   one or more fields are invalid
    InvalidRecipe   422   the same, with fields named as in the recipe: `schedule.max_lr`
  NotFound          404
  Conflict          409   not possible in the current state, or the attempt is no longer the caller's
  Forbidden         403   refused by the gate
  Unauthorized      401   a token is needed
  TooLarge          413
  UnsupportedType   415
  Trouble           503   writing is not possible at the moment; a retry may succeed
    Busy            503   the database is locked, or too many requests wait for it
    DiskFails       503   the disk reports errors, or is read-only
    StorageFull     507   the disk, or the quota on it, is full
Refusal             not a response: the command or the server does not start, and says what to do
"""

from __future__ import annotations


class Problem(Exception):
    """An error that the client can correct. `detail`: a sentence that says what was wrong, and what works."""

    status = 400
    title = "Bad request"
    retry_after_s: int | None = None  # None: a retry fails in the same way

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.mistakes: list[tuple[str, str]] = []


class InvalidRequest(Problem):
    """`mistakes` are (field, sentence) pairs."""

    status = 422
    title = "Some fields are wrong"

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {sentence}" if field else sentence for field, sentence in mistakes))
        self.mistakes = mistakes


class InvalidRecipe(InvalidRequest):
    title = "The recipe is wrong"


class NotFound(Problem):
    status = 404
    title = "Not found"


class Conflict(Problem):
    status = 409
    title = "Not possible now"


class Forbidden(Problem):
    status = 403
    title = "Refused"


class Unauthorized(Problem):
    status = 401
    title = "Authentication required"


class TooLarge(Problem):
    status = 413
    title = "Too large"


class UnsupportedType(Problem):
    status = 415
    title = "Wrong content type"


class Trouble(Problem):
    """The request was not carried out. Stored data is intact."""

    status = 503
    title = "Temporarily unavailable"
    retry_after_s = 5


class Busy(Trouble):
    title = "The records are busy"
    retry_after_s = 2

    def __init__(
        self,
        detail: str = "the database is locked by another program, or its disk is very slow. What was recorded stays "
        "right. Ask again in a few seconds; if it stays so, close what else has the database's file open",
    ) -> None:
        super().__init__(detail)


class DiskFails(Trouble):
    title = "The disk answers with errors"


class StorageFull(Trouble):
    status = 507
    title = "Storage is full"
    retry_after_s = 30


class Refusal(SystemExit):
    """Ends the process. The text is one line: what is wrong, and what to do about it."""

    def __init__(self, text: str) -> None:
        super().__init__(f"pitwall: {text}")
