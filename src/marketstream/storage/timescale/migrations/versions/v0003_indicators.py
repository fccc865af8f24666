"""Technical indicators, cut by time as bars are. Writes: `technical_indicators`."""

from alembic import context, op

from marketstream.storage.timescale.migrations.sql_files import has_hypertables, run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates the table, on TimescaleDB where 0001 took it."""
    connection = op.get_bind()
    values = context.config.attributes["values"]
    timescale = has_hypertables(connection, values["schema"])
    cut = "" if timescale else "partition by range (start_time)"
    run_file(connection, "0003_indicators.sql", {**values, "partition_indicators": cut})
    if timescale:
        run_file(connection, "0003_timescale.sql", values)
