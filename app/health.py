"""Health checks, and metrics for Prometheus."""

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
    """Liveness: the process responds."""
    return {"status": "ok"}


@router.get("/readyz")
def is_ready(here: Here) -> dict[str, str]:
    """Readiness: the database can be read. `/metrics` says whether it can be written."""
    with here.records.read() as session:
        session.execute(text("SELECT 1"))
    return {"status": "ok"}


@router.get("/metrics", response_class=Response)
def get_metrics(here: Here) -> Response:
    """Metrics in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(here))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Metrics(Collector):
    """Computed on each request."""

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
        yield GaugeMetricFamily("pitwall_workers_present", "Connected workers", present)
        yield GaugeMetricFamily("pitwall_streams_open", "Open event streams", self._here.hub.open_streams)
        writable = float(self._here.records.trouble is None)
        yield GaugeMetricFamily("pitwall_records_writable", "1 if the latest write succeeded", writable)
        disk = storage.free_space(self._here.settings.data_dir)
        yield GaugeMetricFamily("pitwall_disk_free_bytes", "Free bytes on the disk of the data folder", disk.free)
        yield GaugeMetricFamily("pitwall_disk_total_bytes", "Size of the disk of the data folder in bytes", disk.total)
