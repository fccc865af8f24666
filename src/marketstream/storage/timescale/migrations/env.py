"""Alembic's entry: runs the migrations over the connection it is handed, in one transaction."""

from alembic import context
from sqlalchemy import Connection, text

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema=context.config.attributes["values"]["schema"])
with context.begin_transaction():
    connection.execute(text("select pg_advisory_xact_lock(hashtext('marketstream migrations'))"))
    context.run_migrations()
