"""API keys and the audit log. Writes: `api_keys`, `audit_log`."""

from alembic import context, op

from marketstream.storage.timescale.migrations.sql_files import run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Creates the tables, and lets the access role read the keys and add to the log."""
    run_file(op.get_bind(), "0007_access.sql", context.config.attributes["values"])
