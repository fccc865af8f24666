"""Bars that providers make, and how the feeds are. Writes: `aggregated_data`, `feeds`, `feed_events`, `feed_gaps`."""

from alembic import context, op

from marketstream.storage.timescale.migrations.sql_files import has_hypertables, run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Widens the bars' table and adds those of the feeds, on TimescaleDB where 0001 took it."""
    connection = op.get_bind()
    values = context.config.attributes["values"]
    timescale = has_hypertables(connection, values["schema"])
    if timescale:
        run_file(connection, "0002_decompress.sql", values)
    run_file(connection, "0002_provider_bars.sql", values)
    cut = "" if timescale else "partition by range (time)"
    run_file(connection, "0002_feeds.sql", {**values, "partition_feed_events": cut})
    if timescale:
        run_file(connection, "0002_compress.sql", values)
