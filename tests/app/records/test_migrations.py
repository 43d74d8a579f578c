"""A database of an earlier version, with rows in it, goes on in this one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pysqlite3
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from app.application import create_app
from app.records.database import MIGRATIONS, VERSION_TABLE
from app.records.models import Base, Run
from app.settings import Settings
from app.web.deps import State
from tests.app.launch.test_warnings import evidence
from tests.app.support.cast import HERE, SMALL, Hand, epoch, settings_in, started, state_of, trained
from trainer.data.predictions import pack
from trainer.recipe import Recipe

TABLES = ("runs", "attempts", "epochs", "events", "workers")


def rows_of(state: State) -> dict[str, list[dict[str, Any]]]:
    with state.records.read() as session:
        found = {table: session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).mappings() for table in TABLES}
        return {table: [dict(row) for row in rows] for table, rows in found.items()}


@pytest.fixture
def rows(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What is in the database that is now at `settings.url`, as the first version left it: an ended run, a held one."""
    elsewhere = state_of(settings_in(tmp_path_factory.mktemp("elsewhere")))
    with TestClient(create_app(elsewhere), base_url=HERE) as client:
        trained(client, elsewhere)
        client.post("/api/v1/runs", json={"recipe": SMALL})
        hand = Hand(client, elsewhere)
        assert hand.claim()
        hand.say(started(), epoch(1))
        client.post("/api/v1/runs", json={"recipe": SMALL | {"seed": 1}})  # waits: it has no epoch
    written = rows_of(elsewhere)
    elsewhere.records.close()

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = create_engine(settings.url, module=pysqlite3)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table in TABLES:
            for row in written[table]:
                known = connection.execute(text(f"SELECT name FROM pragma_table_info('{table}')")).scalars().all()
                old = {name: value for name, value in row.items() if name in known}
                columns, values = ", ".join(old), ", ".join(f":{name}" for name in old)
                connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), old)
        version = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
        names = connection.execute(text("SELECT name FROM pragma_table_info('attempts')")).scalars().all()
    engine.dispose()
    assert version == "0001" and "evidence" not in names
    assert all(written[table] for table in TABLES)
    return written


@pytest.fixture
def migrated(rows: dict[str, Any], settings: Settings) -> Iterator[State]:
    state = state_of(settings)
    yield state
    state.records.close()


def test_every_row_of_the_first_version_is_kept_and_has_no_evidence(rows: dict[str, Any], migrated: State):
    now = rows_of(migrated)
    trails = [row.pop("trail") for row in now["runs"]]

    assert now == {**rows, "runs": [{name: row[name] for name in row if name != "trail"} for row in rows["runs"]]}
    assert len(set(trails)) == len(trails) == 3  # each run has a trail of its own from now on
    assert {len(trail) for trail in trails} == {16}
    assert [row["evidence"] for row in now["attempts"]] == ["[]", "[]"]


def test_runs_that_waited_through_the_upgrade_go_on_and_boards_read_them(rows: dict[str, Any], migrated: State):
    with migrated.records.read() as session:
        kinds = session.execute(text("SELECT DISTINCT typeof(milestones) FROM runs")).scalars().all()
    assert kinds == ["blob"]
    with TestClient(create_app(migrated), base_url=HERE) as client:
        hand = Hand(client, migrated, "eve")
        assert hand.claim()
        hand.say(started(), epoch(1, 0.95))
        assert client.get("/board").status_code == client.get("/api/v1/board").status_code == 200
        assert client.get(f"/runs/{hand.run}").status_code == 200


def test_the_tables_are_those_of_this_version_s_models(migrated: State):
    with migrated.records._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        differences = compare_metadata(context, Base.metadata)
        version = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))

    assert differences == []
    assert version != "0001"


def test_old_runs_are_shown_cloned_and_go_on_with_evidence(migrated: State):
    with TestClient(create_app(migrated), base_url=HERE, follow_redirects=False) as client:
        assert client.get("/api/v1/runs/1").json()["attempts"][0]["evidence"] == []
        assert "Measured at the first step of epochs 1 and 2" in client.get("/runs/1").text
        clone = client.get("/runs/new?from=1")
        assert clone.status_code == 200 and "Cloned from" in clone.text

        hand = Hand(client, migrated)
        hand.run, hand.attempt, hand.seq = 2, 1, 2
        hand.say(evidence(2))
        assert [one["epoch"] for one in client.get("/api/v1/runs/2").json()["attempts"][0]["evidence"]] == [2]
        assert "Epoch 2, first step" in client.get("/runs/2").text


def test_a_run_of_the_first_version_s_recipe_can_be_read_and_launched_again(migrated: State):
    """Its recipe lacks the knobs that came later; they are as they are by default."""
    later = {"loss", "ema", "mixup", "augment_when"}
    old = {
        key: value for key, value in Recipe.model_validate(SMALL).model_dump(mode="json").items() if key not in later
    }
    old["model"] = {key: old["model"][key] for key in ("name", "width", "identity", "dropout", "bn_momentum")}
    del old["optimizer"]["bias_rate"]
    with migrated.records.write() as session:
        session.get_one(Run, 1).recipe = old

    with TestClient(create_app(migrated), base_url=HERE, follow_redirects=False) as client:
        for address in ("/runs/1", "/runs/1/evidence", "/runs/new?from=1", "/previews?from=1", "/api/v1/runs/1"):
            assert client.get(address).status_code == 200, address


def test_finished_runs_of_earlier_versions_are_marked_as_new_ones_are(
    tmp_path_factory: pytest.TempPathFactory,
):
    """The migration has rules of its own: they may not change with the app's. Here both still agree."""
    elsewhere = state_of(settings_in(tmp_path_factory.mktemp("elsewhere")))
    curves = [(0.5, 0.9), (0.5, 28 / 300), (0.5, 0.9, *[0.6] * 9), (0.5, 0.9, 0.8, 0.85, 0.9)]
    with TestClient(create_app(elsewhere), base_url=HERE) as client:
        for curve in curves:
            trained(client, elsewhere, curve)
        for seed, losses in enumerate((0.1, 50.0)):
            client.post("/api/v1/runs", json={"recipe": SMALL | {"seed": seed}})
            hand = Hand(client, elsewhere)
            assert hand.claim()
            packed = pack(np.full(300, 3, np.uint16) if seed == 0 else np.arange(300) % 10)
            hand.say(started(), epoch(1, 0.4), epoch(2, 0.5, val_loss=losses, predictions=packed))
            hand.finish()
    with elsewhere.records.write() as session:
        marked = session.execute(text("SELECT concern FROM runs ORDER BY id")).scalars().all()
        session.execute(text("UPDATE runs SET concern = NULL"))
        migration = import_module("migrations.versions.0011_verdicts")
        with Operations.context(MigrationContext.configure(session.connection())):
            migration._find_concerns()
        again = session.execute(text("SELECT concern FROM runs ORDER BY id")).scalars().all()
    elsewhere.records.close()

    assert marked == [None, "at_chance", "best_early", None, "at_chance", "loss_ran_away"]
    assert again == marked
