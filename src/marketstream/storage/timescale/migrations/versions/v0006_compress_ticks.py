"""Ticks compressed while they are kept. Changes: when `tick_data` is compressed, on TimescaleDB."""

from alembic import context, op

from marketstream.storage.timescale.migrations.sql_files import has_continuous_aggregates, run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Puts another policy in place of that of 0001, where the edition compresses at all."""
    connection = op.get_bind()
    values = context.config.attributes["values"]
    if has_continuous_aggregates(connection, values["schema"]):
        run_file(connection, "0006_compress_ticks.sql", values)
