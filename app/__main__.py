"""The command line: python -m app up | serve | migrate | token | backup | restore."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType

import uvicorn
from pydantic import ValidationError

from app.application import create_app
from app.cli.backup import back_up
from app.cli.restore import restore
from app.cli.up import address, up
from app.errors import Refusal
from app.images.augmentation import AugmentationPreviews
from app.launch import quickstart
from app.live.events import Hub
from app.live.leases import Leases
from app.metrics import statistics
from app.records.database import Records
from app.settings import Settings
from app.web.deps import State, utc_now
from app.web.tokens import Tokens, load_or_create
from trainer.data.gallery import Gallery
from trainer.machine.process import die_with

logger = logging.getLogger("pitwall")

GC_THRESHOLD = 20_000  # new objects between two garbage collections; Python's default of 700 is for small programs
WARM_UP_DELAY_S = 20.0  # after the start, when the worker no longer needs the processor to get ready
DRAIN_S = 3  # how long open requests may take to end after a stop


class Server(uvicorn.Server):
    """Closes open event streams at a stop signal: uvicorn alone would wait for their clients."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            logger.info("ready at %s", address(self.config.host, self.config.port))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._hub.closing = True
        if self._hub.loop is not None:
            self._hub.loop.call_soon_threadsafe(self._hub.close)
        super().handle_exit(sig, frame)


def serve(settings: Settings, now: Callable[[], datetime] = utc_now) -> None:
    """The web process: records, streams, pages, API. Ends on SIGTERM or Ctrl-C."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    tokens = Tokens.load(settings)
    hub = Hub()
    records = Records(settings.url, hub.publish)
    try:
        gallery = Gallery(settings.datasets_dir, settings.data_dir / "previews")
        state = State(settings, records, hub, Leases(), tokens, AugmentationPreviews(gallery), now=now)
        if settings.quickstart:
            quickstart.queue_quickstart(records, settings.datasets_dir, now())
        config = uvicorn.Config(
            create_app(state),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            timeout_graceful_shutdown=DRAIN_S,
            server_header=False,
        )
        gc.collect()
        gc.freeze()  # these objects stay: no need to scan them at every collection
        gc.set_threshold(GC_THRESHOLD)
        timer = threading.Timer(WARM_UP_DELAY_S, _warm_up)
        timer.daemon = True
        timer.start()
        # uvicorn raises the signal again when it ends: exit by an exception, so that the records are closed
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))
        Server(config, hub).run()
    finally:
        records.close()


def _warm_up() -> None:
    """Load what statistics need before the first request needs it."""
    statistics.load_scipy()
    gc.collect()
    gc.freeze()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app", description="Pitwall: launch and watch training runs.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="start the web process, and a worker for each GPU (or one for the CPU)")
    serving = verbs.add_parser("serve", help="start the web process alone")
    serving.add_argument("--parent", type=int, default=None, help="stop when this process ends")
    verbs.add_parser("migrate", help="migrate the database to this version, then exit")
    verbs.add_parser("token", help="print the login token; creates it if there is none")
    backing = verbs.add_parser("backup", help="copy the database to FILE while Pitwall runs")
    backing.add_argument("file", type=Path, metavar="FILE")
    backing.add_argument("--force", action="store_true", help="replace FILE if it exists")
    restoring = verbs.add_parser("restore", help="replace the database by a backup while Pitwall is stopped")
    restoring.add_argument("file", type=Path, metavar="FILE")
    restoring.add_argument("--verify", action="store_true", help="also read all artifacts and check their SHA-256")
    return parser.parse_args()


def main(now: Callable[[], datetime] = utc_now) -> None:
    """`now`: the wall clock."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        settings = Settings()
    except ValidationError as error:
        names = "; ".join(f"PITWALL_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
        raise Refusal(names) from None
    match arguments.verb:
        case "up":
            sys.exit(up(settings))
        case "serve":
            if arguments.parent is not None:
                die_with(arguments.parent, signal.SIGTERM)
            serve(settings, now)
        case "migrate":
            Records(settings.url).close()
        case "token":
            print(settings.token.get_secret_value() or load_or_create(settings.login_token_file))
        case "backup":
            print(*back_up(settings, arguments.file, force=arguments.force), sep="\n")
        case "restore":
            print(*restore(settings, arguments.file, Records, now(), verify=arguments.verify), sep="\n")


if __name__ == "__main__":
    main()
