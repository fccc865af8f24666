"""Brings the database's tables up to date. Writes: every table, as the owner."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.connection import connect, postgres_errors

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(settings: PostgresSettings) -> None:
    """Runs the migrations that are missing, all or none; with none missing it changes nothing.

    Raises:
        StoreUnavailableError: PostgreSQL is away or refuses the owner.
        StoreError: A migration failed; nothing was changed.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["values"] = {
        "schema": settings.schema_name,
        "writer": settings.writer,
        "reader": settings.reader,
    }
    engine = create_engine(
        "postgresql+psycopg2://", creator=lambda: connect(settings, "owner", statement_seconds=0), poolclass=NullPool
    )
    try:
        with postgres_errors(settings), engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        if error.connection_invalidated or error.orig is None:
            raise StoreUnavailableError(str(error)) from error
        raise StoreError(f"a migration failed and was undone: {error.orig}") from error
