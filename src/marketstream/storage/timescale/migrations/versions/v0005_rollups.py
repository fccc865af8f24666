"""Bars of an hour and a day, of those of a minute. Writes: `bars_1h`, `bars_1d`, `rolled_up_bars` (views)."""

from alembic import context, op

from marketstream.storage.timescale.migrations.sql_files import has_continuous_aggregates, run_file

revision = "0005"
down_revision = "0004"

_LENGTHS = {"bars_1h": "1 hour", "bars_1d": "1 day"}


def upgrade() -> None:
    """Creates continuous aggregates where TimescaleDB's licence has them, else views that compute the same."""
    connection = op.get_bind()
    values = context.config.attributes["values"]
    continuous = has_continuous_aggregates(connection, values["schema"])
    if continuous:
        run_file(connection, "0005_version.sql", values)
    for name, length in _LENGTHS.items():
        file = "0005_continuous.sql" if continuous else "0005_bars.sql"
        run_file(connection, file, {**values, "name": name, "length": length})
    run_file(connection, "0005_rolled_up.sql", values)
