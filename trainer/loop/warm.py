"""A process that gets ready for a run before it is told which one: `python -m trainer --wait`.

It imports the framework and reads the data set of a run like the one to come; with `programs` it also rehearses that
run up to its first step, which compiles what the run will need. Then it waits for its order, a line on stdin:

    {"at": seconds on the monotonic clock, "recipe": {…}, "arguments": ["--dir", …]}

Must not know the worker, the app, or what is said of a run: of a rehearsal nothing is.
"""

from __future__ import annotations

import json
import logging
import select
import signal
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from trainer.augment.imgaug_shim import imgaug
from trainer.data.datasets import find
from trainer.engine.backend import import_framework
from trainer.events import BaseEvent, Started
from trainer.failures import CannotTrain, RecipeMistake, Stopped
from trainer.loop.preloaded import Preloaded
from trainer.machine.compile_cache import CompileCache
from trainer.machine.priority import standing_back
from trainer.recipe import Recipe

STDIN = 0


@dataclass(frozen=True)
class Order:
    """The run, as the command line would have named it, and what is ready for it."""

    recipe: Any
    arguments: list[str]
    preloaded: Preloaded


def import_engine(backend: str, compiled: Path | None = None) -> None:
    """Import the framework (seconds), which opens no device. The only place that does so ahead of a run."""
    import_framework(backend, compiled)
    import_module("trainer.engine.engine")


def wait_for_order(recipe: Recipe, root: Path, *, programs: bool, cache: CompileCache | None = None) -> Order | None:
    """Get ready for a run like this, on data sets under `root`, and wait. None: stdin was closed without an order.

    `programs`: compile them, too, which opens the device. `cache`: of programs, on the disk.
    Where nothing can be made ready, the run finds out why.
    Raises RecipeMistake where the line is no order.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # there is nothing to keep
    made = Preloaded(is_warm=True, cache=cache)
    with standing_back():
        logging.disable()
        with suppress(Stopped, CannotTrain):
            import_engine(recipe.backend, cache.folder if cache else None)
            _preload(made, recipe, root, programs=programs)
        logging.disable(logging.NOTSET)
        text = read_stdin_line()
    if not text:
        return None
    try:
        order = json.loads(text)
        made.began = float(order["at"])
        return Order(order["recipe"], [str(one) for one in order["arguments"]], made)
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeMistake(f"this is no order: {error}") from error


def read_stdin_line() -> str:
    """The next one on stdin, and not a byte more, so that `select` sees the one after it. Empty: stdin was closed."""
    with open(STDIN, "rb", buffering=0, closefd=False) as stream:
        return stream.readline().decode()


def _preload(made: Preloaded, recipe: Recipe, root: Path, *, programs: bool) -> None:
    if recipe.augment_engine != "device":
        imgaug()
    if not find(recipe.dataset.name, root).available:
        return  # a download is for the run to begin, and to tell of
    if programs:
        _rehearse(made, recipe, root)
    else:
        made.data(recipe.dataset, root, lambda note: None)


def _rehearse(made: Preloaded, recipe: Recipe, root: Path) -> None:
    """Raises Stopped in front of the first step, or earlier where the order has come."""
    from trainer.loop.train import train

    def say(event: BaseEvent) -> None:
        if isinstance(event, Started):
            raise Stopped

    train(recipe, say, root, lambda: bool(select.select([STDIN], [], [], 0)[0]), 0, ready=made)
