"""Brings the database's tables up to date. Writes: every table, as the owner."""

from pathlib import Path

import psycopg2
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.connection import connect

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(settings: PostgresSettings, *, target: str = "head") -> None:
    """Runs the migrations that are missing, all or none; with none missing it changes nothing.

    Args:
        settings: Where PostgreSQL is.
        target: Up to which migration.

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
        "access": settings.access,
    }
    engine = create_engine(
        "postgresql+psycopg2://", creator=lambda: connect(settings, "owner", statement_seconds=0), poolclass=NullPool
    )
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, target)
    except (psycopg2.OperationalError, OperationalError) as error:
        raise StoreUnavailableError(f"PostgreSQL at {settings.host}:{settings.port}: {error}") from error
    except (psycopg2.Error, DBAPIError) as error:
        raise StoreError(f"a migration failed and was undone: {error}") from error
