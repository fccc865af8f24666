"""Trades taken back. Writes: `trade_cancels`; widens `tick_data`, `aggregated_data`, `technical_indicators`."""

from alembic import context, op

from marketstream.storage.timescale.migrations.sql_files import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the table and the columns; null where nothing was taken back, so that no stored row is touched."""
    run_file(op.get_bind(), "0004_cancels.sql", context.config.attributes["values"])
