-- What the exporter asks of PostgreSQL. The functions are migration 0008's; Grafana asks them too.

-- name: symbols
select wanted.symbol, extract(epoch from newest.event_time)::float8
from unnest(%(symbols)s::text[]) as wanted(symbol)
cross join lateral (
  select event_time from tick_data where symbol = wanted.symbol order by event_time desc limit 1
) newest

-- name: tables
select name, bytes, rows_estimated, parts from table_sizes()

-- name: connections
select state, number, oldest_transaction_seconds from database_connections()

-- name: figures
select
  pg_database_size(datname), current_setting('max_connections')::integer, xact_commit, xact_rollback, blks_hit, blks_read,
  deadlocks, temp_bytes
from pg_stat_database where datname = current_database()
