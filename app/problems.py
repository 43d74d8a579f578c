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
    Refusal             not an answer: the server will not start, and says what to do

Must not know HTTP libraries: these are sentences with a number.
"""

from __future__ import annotations


class Problem(Exception):
    """A mistake that its maker can mend. `detail` is a sentence: what was wrong, and what works."""

    status = 400
    title = "Bad request"

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


class Refusal(SystemExit):
    """The server refuses to start. The text is one line: what is unsafe and what to do about it."""

    def __init__(self, text: str) -> None:
        super().__init__(f"pitwall: {text}")
