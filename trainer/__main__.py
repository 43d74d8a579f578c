"""`python -m trainer RECIPE.json`: one run as a process. Writes JSON events to stdout, and a log for people to stderr.

With --dir it resumes from the newest checkpoint there. SIGTERM stops it at the next step, with a checkpoint; SIGUSR1
writes the stacks of all threads to the log. With --wait it first preloads for a run like RECIPE, then waits for its
order on stdin (warm.py). Exit codes: 0 finished; 75 stopped on request; 2 the recipe is wrong; 1 failed, and the last
event says why. No framework may be imported before stdout is redirected.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import IO, Any

from pydantic import ValidationError

from trainer.events import BaseEvent, EpochEnded, Failed, Finished, Started, to_json_line
from trainer.failures import STOPPED, CannotTrain, RecipeMistake, Stopped
from trainer.loop.checkpoints import EVERY_S
from trainer.loop.warm import BuildEngine, Order, Preloaded, read_stdin_line, wait_for_order
from trainer.machine.compile_cache import open_cache
from trainer.machine.device_load import LoadMonitor, load_reader
from trainer.machine.power import energy_meter
from trainer.machine.process import die_with
from trainer.presets import PRESETS
from trainer.recipe import Recipe
from trainer.recipe.knobs import list_errors, merge

FINISHED, FAILED, BAD_RECIPE = 0, 1, 2

log = logging.getLogger("trainer")


def main(build_engine: BuildEngine | None = None) -> int:
    """`build_engine`: None: Keras'."""
    events = _take_over_stdout()
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
    arguments = _parse_arguments(sys.argv[1:])
    if arguments.parent is not None:
        die_with(arguments.parent)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # errors only: no notes about CPU features
    emit, cache = _event_writer(events), open_cache(arguments.compiled)
    preloaded = Preloaded(began=_process_start(), cache=cache, build_engine=build_engine)
    try:
        recipe = _read_recipe(arguments)
        if arguments.wait:
            order = wait_for_order(
                recipe,
                arguments.datasets,
                programs=arguments.wait == "all",
                cache=cache,
                build_engine=build_engine,
            )
            if order is None:
                return FINISHED
            arguments, preloaded = _parse_arguments([*sys.argv[1:], *order.arguments]), order.preloaded
            recipe = _ordered_recipe(order, recipe)
    except RecipeMistake as mistake:
        log.error("%s", mistake)
        emit(Failed(kind=mistake.kind, message=str(mistake)))
        return BAD_RECIPE
    return _run(recipe, emit, arguments, _install_stop_flag(), preloaded)


def _run(
    recipe: Recipe,
    emit: Callable[[BaseEvent], None],
    arguments: argparse.Namespace,
    stop: Callable[[], bool],
    preloaded: Preloaded,
) -> int:
    from trainer.loop.train import train

    try:
        train(
            recipe,
            emit,
            arguments.datasets,
            stop,
            arguments.processes,
            folder=arguments.dir,
            every_s=arguments.checkpoint_every,
            known=arguments.known,
            meter=energy_meter(arguments.meter),
            watch=LoadMonitor(load_reader(arguments.meter)),
            preloaded=preloaded,
        )
    except Stopped:
        log.info("stopped on request")
        return STOPPED
    except BrokenPipeError:
        log.error("stopped: the reader of the events is gone")
        return FAILED
    except CannotTrain as problem:
        log.error("%s. %s", problem, problem.hint)
        emit(Failed(kind=problem.kind, message=str(problem), hint=problem.hint))
        return BAD_RECIPE if problem.kind == "recipe" else FAILED
    except Exception as error:
        log.exception("the run failed")
        emit(Failed(kind="error", message=f"{type(error).__name__}: {error}"))
        return FAILED
    return FINISHED


def _process_start() -> float:
    """The start of this process on time.monotonic(), including Python's own startup."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])  # since boot; field 22 of the line
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age


def _take_over_stdout() -> IO[str]:
    """Return the real stdout as a stream for events; fd 1 becomes stderr, also for C libraries."""
    events = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    return events


def _event_writer(events: IO[str]) -> Callable[[BaseEvent], None]:
    lock = Lock()  # the progress thread emits events, too

    def emit(event: BaseEvent) -> None:
        with lock:
            events.write(to_json_line(event) + "\n")
            events.flush()
        if text := _describe(event):
            log.info(text)

    return emit


def _describe(event: BaseEvent) -> str:
    match event:
        case Started():
            device = event.environment.get("device")
            position = f"after epoch {event.resumed_from_epoch}"
            if event.resumed_at_step:
                position += f" and {event.resumed_at_step} steps"
            resumed = f"\nresuming {position}" if event.resumed_from_epoch or event.resumed_at_step else ""
            return (
                f"{event.train_images:,} training and {event.val_images:,} validation images, "
                f"{len(event.classes)} classes, {event.parameters['total']:,} parameters, on {device}"
                f"{resumed}"
            )
        case EpochEnded():
            return (
                f"epoch {event.epoch:3d}  train loss {_number(event.train_loss)} accuracy "
                f"{_percent(event.train_accuracy)}  validation loss {_number(event.val_loss)} accuracy "
                f"{_percent(event.val_accuracy)}  lr {event.learning_rate:.5f}  {event.seconds:.2f} s"
            )
        case Finished():
            return f"finished after {event.epochs} epochs"
    return ""


def _number(value: float | None) -> str:
    return "   -  " if value is None else f"{value:.4f}"


def _percent(share: float | None) -> str:
    return "   -   " if share is None else f"{100 * share:6.2f} %"


def _parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trainer", description="Train one recipe.")
    parser.add_argument("recipe", nargs="?", help="a JSON file, may be partial; - or nothing: stdin")
    parser.add_argument("--preset", choices=list(PRESETS), help="merge the recipe over this preset")
    parser.add_argument("--dir", type=Path, help="folder of the run's checkpoints; resume from the newest")
    parser.add_argument(
        "--checkpoint-every",
        type=_seconds,
        default=EVERY_S,
        metavar="SECONDS",
        help="minimum interval, at the end of an epoch (default: 60)",
    )
    parser.add_argument(
        "--known", type=_epochs, metavar="K", help="emit again the rows after epoch K that the checkpoint remembers"
    )
    parser.add_argument("--datasets", type=Path, default=Path("data/datasets"))
    parser.add_argument(
        "--processes", type=int, metavar="N", help="size of the loader pool; 0: one thread (default: by cores)"
    )
    parser.add_argument("--meter", metavar="gpu:N", default="cpu", help="the GPU whose energy is measured")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process has ended")
    parser.add_argument("--compiled", type=Path, metavar="DIR", help="cache of compiled programs")
    parser.add_argument(
        "--wait",
        choices=["host", "all"],
        help="preload for a run like this one, then wait for an order on stdin; all: also open the device",
    )
    return parser.parse_args(words)


def _seconds(text: str) -> float:
    if not (seconds := float(text)) >= 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return seconds


def _epochs(text: str) -> int:
    if (epochs := int(text)) < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return epochs


def _read_recipe(arguments: argparse.Namespace) -> Recipe:
    """The complete recipe. Raises RecipeMistake with one line per mistake, starting with its path."""
    base = PRESETS[arguments.preset].recipe if arguments.preset else Recipe()
    return _merge_recipe(base, lambda: _read_partial(arguments))


def _ordered_recipe(order: Order, expected: Recipe) -> Recipe:
    """The complete recipe of an order. Raises RecipeMistake, also if this process has loaded another framework."""
    recipe = _merge_recipe(Recipe(), lambda: order.recipe)
    if recipe.backend != expected.backend:
        raise RecipeMistake(f"backend: this process has loaded {expected.backend}, not {recipe.backend}")
    return recipe


def _merge_recipe(base: Recipe, read: Callable[[], Any]) -> Recipe:
    try:
        partial = read()
        if not isinstance(partial, dict):
            raise ValueError("a recipe is a JSON object")
        return Recipe.model_validate(merge(base.model_dump(mode="json"), partial))
    except ValidationError as error:
        lines = [f"{path}: {sentence}" for path, sentence in list_errors(error)]
        raise RecipeMistake("\n".join(lines)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeMistake(f"recipe: {error}") from error


def _read_partial(arguments: argparse.Namespace) -> Any:
    if arguments.recipe is None and arguments.preset:
        return {}
    if arguments.recipe in {None, "-"}:
        if arguments.wait:
            return json.loads(read_stdin_line())
        return json.load(sys.stdin)
    return json.loads(Path(arguments.recipe).read_text(encoding="utf-8"))


def _install_stop_flag() -> Callable[[], bool]:
    is_requested = False

    def request_stop(_signal: int, _frame: Any) -> None:
        nonlocal is_requested
        is_requested = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    return lambda: is_requested


if __name__ == "__main__":
    sys.exit(main())
