#!/bin/bash
# Runs once, when the database is new: the owner of the tables, the writers', the readers' and the gatekeepers' role.
# The migrations, run by the owner, grant what each of the others may do.
set -euo pipefail

psql --no-psqlrc --set=ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" \
    --set=database="$POSTGRES_DB" <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv writer_password WRITER_PASSWORD
\getenv reader_password READER_PASSWORD
\getenv access_password ACCESS_PASSWORD
create role marketstream_owner login password :'owner_password';
create role marketstream_writer login password :'writer_password';
create role marketstream_reader login password :'reader_password';
create role marketstream_access login password :'access_password';
create extension if not exists pg_stat_statements schema public;
grant pg_read_all_stats to marketstream_owner;
revoke all on database :"database" from public;
grant connect, temporary on database :"database" to marketstream_writer, marketstream_reader, marketstream_access;
alter database :"database" owner to marketstream_owner;
alter schema public owner to marketstream_owner;
SQL
