"""What the exporter and Grafana may know of the database itself. Writes: functions only."""

from alembic import context, op

from marketstream.storage.timescale.migrations.sql_files import has_hypertables, run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Creates the functions; the one for sizes counts chunks where the tables are hypertables."""
    connection = op.get_bind()
    values = context.config.attributes["values"]
    kind = "timescale" if has_hypertables(connection, values["schema"]) else "native"
    run_file(connection, f"0008_sizes_{kind}.sql", values)
    run_file(connection, "0008_monitoring.sql", values)
