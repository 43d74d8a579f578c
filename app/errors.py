"""What can be wrong with what somebody asked for. One handler (web.py) turns each into a page or into JSON.

    Problem             status 400
      InvalidRequest    422   one or more named fields are wrong
        InvalidRecipe   422   the same, fields named as in the recipe: `schedule.max_lr`
      NotFound          404
      Conflict          409   asked at the wrong moment, or of an attempt that is no longer held
      Forbidden         403   refused by the gate
      Unauthorized      401   a token is needed
      TooLarge          413
      UnsupportedType   415
      Trouble           503   nobody's mistake: writing does not work just now, asking again later may
        Busy            503   the records are locked, or too many wait for them
        DiskFails       503   the disk answers with errors, or takes no writing
        StorageFull     507   the disk, or the quota on it, is full
    Refusal             not an answer: the server will not start, and says what to do

Must not know HTTP libraries: these are sentences with a number.
"""

from __future__ import annotations


class Problem(Exception):
    """A mistake that its maker can mend. `detail` is a sentence: what was wrong, and what works."""

    status = 400
    title = "Bad request"
    retry_after_s: int | None = None  # when asking again makes sense; none: not without a change

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
    title = "Not now"


class Forbidden(Problem):
    status = 403
    title = "Refused"


class Unauthorized(Problem):
    status = 401
    title = "A token is needed"


class TooLarge(Problem):
    status = 413
    title = "Too large"


class UnsupportedType(Problem):
    status = 415
    title = "Wrong content type"


class Trouble(Problem):
    """What was recorded stays right; what was asked for has not been done."""

    status = 503
    title = "Not just now"
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
    """The server refuses to start. The text is one line: what is unsafe and what to do about it."""

    def __init__(self, text: str) -> None:
        super().__init__(f"pitwall: {text}")
