"""Ticks and bars, cut by time. Writes: `tick_data`, `aggregated_data`."""

from alembic import context, op
from sqlalchemy import text

from marketstream.storage.timescale.migrations.sql_files import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates the tables on TimescaleDB where it can be had, else on native partitions."""
    connection = op.get_bind()
    values = context.config.attributes["values"]
    run_file(connection, "0001_extension.sql", values)
    timescale = connection.execute(text("select from pg_extension where extname = 'timescaledb'")).first() is not None
    cuts = {
        "partition_ticks": "" if timescale else "partition by range (event_time)",
        "partition_bars": "" if timescale else "partition by range (start_time)",
    }
    run_file(connection, "0001_tables.sql", {**values, **cuts})
    run_file(connection, "0001_timescale.sql" if timescale else "0001_native.sql", values)
    run_file(connection, "0001_privileges.sql", values)
