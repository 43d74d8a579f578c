"""For machines that watch: alive, ready, and figures for Prometheus.

Must not know what the figures are used for; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text

from app.records import disk as storage
from app.run_list import listing
from app.web.deps import Here, State
from app.workers.listing import list_known

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def is_alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def is_ready(here: Here) -> dict[str, str]:
    """The records answer, too. Whether they can be written just now is a figure."""
    with here.records.read() as session:
        session.execute(text("SELECT 1"))
    return {"status": "ok"}


@router.get("/metrics", response_class=Response)
def get_metrics(here: Here) -> Response:
    """Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(here))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    """Counted when they are asked for: nothing to keep in step."""

    def __init__(self, here: State) -> None:
        self._here = here

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._here.records.read() as session:
            by_status = listing.count_by_status(session)
            known = list_known(session, self._here.leases)
        runs = GaugeMetricFamily("pitwall_runs", "Runs by status", labels=["status"])
        for status, number in by_status.items():
            runs.add_metric([status], number)
        yield runs
        present = sum(worker.present for worker in known)
        yield GaugeMetricFamily("pitwall_workers_present", "Workers that are there", present)
        yield GaugeMetricFamily("pitwall_streams_open", "Open event streams", self._here.hub.open_streams)
        writable = float(self._here.records.trouble is None)
        yield GaugeMetricFamily("pitwall_records_writable", "1: the latest write went well", writable)
        disk = storage.free_space(self._here.settings.data_dir)
        yield GaugeMetricFamily("pitwall_disk_free_bytes", "Bytes left on the data folder's disk", disk.free)
        yield GaugeMetricFamily("pitwall_disk_total_bytes", "Bytes of the data folder's disk", disk.total)
