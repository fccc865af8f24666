#!/bin/bash
# Runs once, when the database is new: the owner of the tables, the writers' role and the readers' role.
# The migrations, run by the owner, grant what each of the other two may do.
set -euo pipefail

psql --no-psqlrc --set=ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" \
    --set=database="$POSTGRES_DB" <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv writer_password WRITER_PASSWORD
\getenv reader_password READER_PASSWORD
create role marketstream_owner login password :'owner_password';
create role marketstream_writer login password :'writer_password';
create role marketstream_reader login password :'reader_password';
revoke all on database :"database" from public;
grant connect, temporary on database :"database" to marketstream_writer, marketstream_reader;
alter database :"database" owner to marketstream_owner;
alter schema public owner to marketstream_owner;
SQL
