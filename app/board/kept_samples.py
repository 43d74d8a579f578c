"""The samples of whole boards, kept in memory until a run of theirs comes, goes, starts or ends.

To read and sort out 20,000 runs takes most of a board's time, and most often nothing has changed since the last look.
Whether it has is asked of an index. Must not know rankings, HTTP or HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app.board import samples
from app.board.samples import Sample
from app.records.models import Run

BOARDS = 2  # that are kept, the latest asked for: a board of 20,000 runs is some 30 MB

Key = tuple[str, str | None, str | None]
Stamp = Sequence[Any]

_kept: WeakKeyDictionary[Engine, dict[Key, tuple[Stamp, list[Sample]]]] = WeakKeyDictionary()
_lock = Lock()


def of(session: Session, dataset: str, pictures: str | None, hardware: str | None) -> list[Sample]:
    """Of the runs on these pictures (a fingerprint) and this hardware (None: on all). Not to be changed."""
    key, engine = (dataset, pictures, hardware), session.get_bind().engine
    conditions = [Run.dataset == dataset, Run.fingerprint == pictures]
    conditions += [] if hardware is None else [Run.hardware == hardware]
    # An ended run stays as it is until it is deleted, or tried again, which is another attempt; these only rise.
    sums = (func.count(), func.sum(Run.id), func.sum(Run.attempt))
    stamp = session.execute(select(Run.status, *sums).where(*conditions).group_by(Run.status)).all()
    with _lock:
        known = _kept.get(engine, {}).get(key)
    if known and known[0] == stamp:
        return known[1]
    found = samples.sorted_out(samples.read(session, *conditions))
    with _lock:
        boards = _kept.setdefault(engine, {})
        boards.pop(key, None)
        boards[key] = (stamp, found)
        while len(boards) > BOARDS:
            del boards[next(iter(boards))]
    return found
