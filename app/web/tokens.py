"""The worker token, and the login token that people need if the app listens beyond loopback.

Both are files in the data folder that only their owner can read. A login sets a cookie signed with the login token, so
that a new token ends all sessions.
"""

from __future__ import annotations

import hmac
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from app.errors import Refusal
from app.settings import Settings

COOKIE = "pitwall_session"
SESSION_S = 30 * 24 * 3600
TOKEN_BYTES = 32


@dataclass(frozen=True)
class Tokens:
    """`login` is empty if no login is needed."""

    worker: str
    login: str

    @classmethod
    def load(cls, settings: Settings) -> Tokens:
        """Read both tokens; the worker token is created at the first start. Raises Refusal without a login token if
        the app would listen beyond loopback."""
        worker = load_or_create(settings.worker_token_file)
        if settings.is_loopback:
            return cls(worker, "")
        login = settings.token.get_secret_value() or _read(settings.login_token_file)
        if not login:
            raise Refusal(
                f"listening on {settings.host} needs a login token: make one with `python -m app token`, "
                "or listen on 127.0.0.1"
            )
        return cls(worker, login)

    def is_worker(self, token: str) -> bool:
        return bool(self.worker) and hmac.compare_digest(token.encode(), self.worker.encode())

    def is_login(self, token: str) -> bool:
        return bool(self.login) and hmac.compare_digest(token.encode(), self.login.encode())

    def create_session(self) -> str:
        """The value of a session cookie: its expiry time, signed."""
        expires = str(int(time.time()) + SESSION_S)
        return f"{expires}.{self._sign(expires)}"

    def is_session(self, value: str) -> bool:
        expires, _, signature = value.partition(".")
        if not expires.isdecimal() or not hmac.compare_digest(signature.encode(), self._sign(expires).encode()):
            return False
        return time.time() < int(expires)

    def _sign(self, expires: str) -> str:
        return hmac.new(self.login.encode(), b"session " + expires.encode(), "sha256").hexdigest()


def load_or_create(path: Path) -> str:
    """The token in the file, which is created if it does not exist, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        if token := _read(path):
            return token
        raise Refusal(f"{path} is empty: delete it, and a new token is made") from None
    with os.fdopen(file, "w") as opened:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        opened.write(token + "\n")
    return token


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
