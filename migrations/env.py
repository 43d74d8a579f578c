"""Alembic's entry: runs the revisions on the connection that app.records.database hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from app.records.database import VERSION_TABLE
from app.records.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
context.run_migrations()
