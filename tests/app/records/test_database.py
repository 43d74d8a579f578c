"""The one door to the SQLite file: pragmas, transactions, migrations."""

from __future__ import annotations

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError

from app.errors import Refusal
from app.records import outbox
from app.records.database import MIGRATIONS, VERSION_TABLE, Records, migrate
from app.records.models import Attempt, Base, Epoch, Run
from app.records.outbox import OutboxEvent
from app.web.deps import State
from tests.app.support.cast import NOW, launch
from tests.app.support.other_programs import Holder


def test_the_pragmas_are_in_force_on_every_connection(state: State):
    for door in (state.records.read, state.records.write):
        with door() as session:
            values = {
                name: session.scalar(text(f"PRAGMA {name}"))
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "trusted_schema")
            }

        assert 4_000 < values.pop("busy_timeout") <= 5_000
        assert values == {
            "journal_mode": "wal",
            "synchronous": 2,  # FULL
            "foreign_keys": 1,
            "trusted_schema": 0,
        }


def test_threads_that_read_and_then_write_lose_nothing(state: State):
    run_id = launch(state)
    errors: list[BaseException] = []

    def add_one_many_times() -> None:
        try:
            for _ in range(25):
                with state.records.write() as session:
                    run = session.get_one(Run, run_id)
                    run.priority += 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=add_one_many_times) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    with state.records.read() as session:
        assert session.get_one(Run, run_id).priority == 200


def test_a_writer_of_another_process_is_waited_for(state: State):
    run_id = launch(state)
    other = Holder(state.records.path)
    began = time.monotonic()
    release = threading.Timer(0.3, other.let_go)
    release.start()

    with state.records.write() as session:
        session.get_one(Run, run_id).priority = 7

    assert time.monotonic() - began > 0.25
    release.join()
    with state.records.read() as session:
        assert session.get_one(Run, run_id).priority == 7


def test_a_write_that_fails_leaves_nothing_and_publishes_nothing(settings):
    published: list = []
    records = Records(settings.url, published.extend)
    with pytest.raises(RuntimeError), records.write() as session:
        session.execute(text("INSERT INTO submissions VALUES ('k', 'h', '{}', '2026-01-01')"))
        outbox.record(session, OutboxEvent(None, 1, "log", {}))
        raise RuntimeError("the request broke")

    with records.read() as session:
        assert session.scalar(text("SELECT count(*) FROM submissions")) == 0
    records.close()
    assert published == []


def test_events_are_published_only_after_it_can_be_read(settings):
    seen: list[int | None] = []

    def look(published: list) -> None:
        with records.read() as session:
            seen.append(session.scalar(text("SELECT count(*) FROM submissions")))

    records = Records(settings.url, look)
    with records.write() as session:
        session.execute(text("INSERT INTO submissions VALUES ('k', 'h', '{}', '2026-01-01')"))
        outbox.record(session, OutboxEvent(None, 1, "log", {}))

    records.close()
    assert seen == [1]


def test_a_reader_sees_one_moment(state: State):
    with state.records.read() as session:
        before = session.scalar(text("SELECT count(*) FROM runs"))
        launch(state)
        during = session.scalar(text("SELECT count(*) FROM runs"))

    assert (before, during) == (0, 0)


def test_a_run_takes_its_rows_with_it(state: State):
    run_id = launch(state)
    with state.records.write() as session:
        session.execute(text("DELETE FROM runs"))

    with state.records.read() as session:
        assert session.scalar(text("SELECT count(*) FROM events")) == 0
    assert launch(state) > run_id  # an id is never used again


def test_a_row_of_no_run_is_refused(state: State):
    with pytest.raises(IntegrityError), state.records.write() as session:
        session.add(Attempt(run_id=99, number=1, worker="w", device="d", claimed_at=NOW))


def test_records_of_a_newer_version_are_refused_and_left_alone(settings):
    Records(settings.url).close()
    with sqlite3.connect(settings.data_dir / "pitwall.db") as other:
        other.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    other.close()

    with pytest.raises(Refusal, match="newer Pitwall"):
        Records(settings.url)

    with sqlite3.connect(settings.data_dir / "pitwall.db") as other:
        assert other.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [("9999",)]
    other.close()


def test_the_migrations_make_what_the_models_say(state: State):
    with state.records._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_migrations_are_numbered_so_that_the_newest_is_known_without_alembic():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    numbers = {Path(script.path).name.partition("_")[0]: script.revision for script in scripts.walk_revisions()}

    assert numbers == {revision: revision for revision in numbers}
    assert scripts.get_current_head() == max(numbers)


def test_migrating_twice_changes_nothing(state: State):
    launch(state)
    with state.records.read() as session:
        before = session.execute(text("SELECT sql FROM sqlite_master ORDER BY name")).all()

    migrate(state.records._writer)

    with state.records.read() as session:
        assert session.execute(text("SELECT sql FROM sqlite_master ORDER BY name")).all() == before
        assert session.scalar(text("SELECT count(*) FROM runs")) == 1


def test_what_was_written_is_there_after_closing_and_opening(settings, state: State):
    run_id = launch(state, name="kept")
    state.records.close()

    again = Records(settings.url)
    with again.read() as session:
        assert session.get_one(Run, run_id).name == "kept"
    again.close()


def test_a_naive_time_is_refused(state: State):
    run_id = launch(state)
    with pytest.raises(StatementError, match="aware"), state.records.write() as session:
        session.get_one(Run, run_id).created_at = datetime(2026, 1, 1)  # noqa: DTZ001


def test_times_come_back_as_the_same_moment_in_utc(state: State):
    run_id = launch(state)
    elsewhere = datetime(2026, 7, 1, 3, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with state.records.write() as session:
        session.get_one(Run, run_id).ended_at = elsewhere

    with state.records.read() as session:
        run = session.get_one(Run, run_id)
        assert run.created_at == NOW
        assert run.ended_at == elsewhere
        assert run.ended_at is not None
        assert run.ended_at.tzinfo is UTC


def test_an_epoch_is_one_row_per_attempt(state: State):
    run_id = launch(state)
    row = {
        "run_id": run_id, "attempt": 1, "epoch": 1, "learning_rate": 0.1, "at": NOW,
        "seconds": 1, "input_seconds": 0, "val_seconds": 0, "compile_seconds": 0,
    }  # fmt: skip
    with pytest.raises(IntegrityError), state.records.write() as session:
        session.add_all([Epoch(**row), Epoch(**row)])
