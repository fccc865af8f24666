"""Runs the migrations' SQL files. Values come in as psql would put them: `:name`, `:'name'`, `:"name"`."""

import re
from collections.abc import Mapping
from contextlib import closing
from importlib.resources import files

from sqlalchemy import Connection, text

_VARIABLE = re.compile(r"""(?<![:\w]):(['"]?)([a-z_]+)\1""")


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Puts values in place of variables; what has no value is no variable of ours and stays."""

    def value_of(match: re.Match[str]) -> str:
        quote, name = match.groups()
        value = values.get(name)
        if value is None:
            return match[0]
        return f"{quote}{value.replace(quote, quote * 2)}{quote}" if quote else value

    return _VARIABLE.sub(value_of, text)


def run_file(connection: Connection, name: str, values: Mapping[str, str]) -> None:
    """Runs one file of `sql/` in the connection's transaction.

    Args:
        connection: To the database, as its owner.
        name: File name, such as `0001_tables.sql`.
        values: The file's variables.
    """
    statements = files(__package__).joinpath("sql", name).read_text()
    with closing(connection.connection.cursor()) as cursor:  # the driver's own: it leaves per cent signs alone
        cursor.execute(fill_in(statements, values))


def has_hypertables(connection: Connection, schema: str) -> bool:
    """Whether 0001 found the extension; one that came later than the tables is none of theirs."""
    if connection.execute(text("select from pg_extension where extname = 'timescaledb'")).first() is None:
        return False
    bars = text(
        "select from timescaledb_information.hypertables"
        " where hypertable_schema = :schema and hypertable_name = 'aggregated_data'"
    )
    return connection.execute(bars, {"schema": schema}).first() is not None


def has_continuous_aggregates(connection: Connection, schema: str) -> bool:
    """Whether the tables are hypertables of an edition with continuous aggregates: the Apache-licensed one has none."""
    licence = text("select current_setting('timescaledb.license', true)")
    return has_hypertables(connection, schema) and connection.execute(licence).scalar() == "timescale"
