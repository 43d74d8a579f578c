"""The two tokens: one that workers show, one that people log in with where the app listens beyond loopback.

Both are files in the data folder that only their owner can read. A login gives a cookie that is signed with the
login token, so that a new token ends all sessions. Must not know requests or responses.
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
    """`login` is empty where no login is asked for."""

    worker: str
    login: str

    @classmethod
    def of(cls, settings: Settings) -> Tokens:
        """Read both, making the worker's at the first start. Refuses a bind beyond loopback without a login token."""
        worker = made(settings.worker_token_file)
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

    def session(self) -> str:
        """A cookie's value: the time it ends, signed."""
        ends = str(int(time.time()) + SESSION_S)
        return f"{ends}.{self._signature(ends)}"

    def is_session(self, value: str) -> bool:
        ends, _, signature = value.partition(".")
        if not ends.isdecimal() or not hmac.compare_digest(signature.encode(), self._signature(ends).encode()):
            return False
        return time.time() < int(ends)

    def _signature(self, ends: str) -> str:
        return hmac.new(self.login.encode(), b"session " + ends.encode(), "sha256").hexdigest()


def made(path: Path) -> str:
    """The token in the file, made at the first call. Only the owner can read the file."""
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
