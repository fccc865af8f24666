"""Connections to PostgreSQL in one of four roles, and its errors as the platform's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.settings import PostgresSettings

Role = Literal["owner", "writer", "reader", "access"]
_CONNECT_SECONDS = 5


def connect(settings: PostgresSettings, role: Role, *, statement_seconds: float) -> Connection:
    """Opens a connection whose names resolve in the settings' schema and whose clock is UTC.

    Args:
        settings: Where PostgreSQL is.
        role: Whose rights the connection has.
        statement_seconds: Longest a statement may take; 0 for no limit.

    Raises:
        psycopg2.Error: The server is away, or refuses the role.
    """
    user, password = {
        "owner": (settings.owner, settings.owner_password),
        "writer": (settings.writer, settings.writer_password),
        "reader": (settings.reader, settings.reader_password),
        "access": (settings.access, settings.access_password),
    }[role]
    connection = psycopg2.connect(
        host=settings.host,
        port=settings.port,
        dbname=settings.database,
        user=user,
        password=password.get_secret_value(),
        connect_timeout=_CONNECT_SECONDS,
        application_name=f"marketstream-{role}",
        options=f"-c timezone=UTC -c statement_timeout={round(statement_seconds * 1_000)}",
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("select set_config('search_path', quote_ident(%s), false)", (settings.schema_name,))
    return connection


@contextmanager
def postgres_errors(settings: PostgresSettings) -> Iterator[None]:
    """Raises what PostgreSQL says of the data as `StoreError`, and everything else as `StoreUnavailableError`."""
    try:
        yield
    except (psycopg2.DataError, psycopg2.IntegrityError, errors.ProgramLimitExceeded) as error:  # too long for a key
        raise StoreError(_text(error)) from error
    except (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn, errors.InvalidSchemaName) as error:
        raise StoreUnavailableError(f"the tables are missing ({_text(error)}): run `marketstream migrate`") from error
    except psycopg2.Error as error:
        raise StoreUnavailableError(f"PostgreSQL at {settings.host}:{settings.port}: {_text(error)}") from error


def _text(error: psycopg2.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
