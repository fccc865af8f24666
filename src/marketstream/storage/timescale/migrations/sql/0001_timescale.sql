-- Hypertables: TimescaleDB makes the chunks by itself. The functions keep the names and promises of native partitioning.

set local search_path = :"schema", public; -- where the extension's functions are

select create_hypertable('tick_data', by_range('event_time', interval '1 day'), create_default_indexes => false);
select create_hypertable('aggregated_data', by_range('start_time', interval '30 days'), create_default_indexes => false);

-- Compression is not part of the Apache-licensed edition.
do $$
begin
  if current_setting('timescaledb.license', true) = 'timescale' then
    alter table tick_data set (
      timescaledb.compress, timescaledb.compress_segmentby = 'symbol', timescaledb.compress_orderby = 'event_time desc, sequence desc');
    perform add_compression_policy('tick_data', compress_after => interval '7 days');
    alter table aggregated_data set (
      timescaledb.compress, timescaledb.compress_segmentby = 'symbol, interval', timescaledb.compress_orderby = 'start_time desc');
    perform add_compression_policy('aggregated_data', compress_after => interval '60 days');
  end if;
end
$$;

-- Only refuses senseless times: the chunks come by themselves.
create function ensure_partitions(wanted_table text, moments timestamptz[]) returns void
language plpgsql security definer set search_path = :"schema", pg_temp
as $$
begin
  perform from partitioned_tables where table_name = wanted_table;
  if not found then
    raise exception 'no partitioned table %', wanted_table using errcode = 'undefined_table';
  end if;
  perform check_moments(moments);
end
$$;

-- Drops chunks whose times and whose making both lie further back than `keep_days`; returns their names.
create function apply_retention(wanted_table text, keep_days integer) returns setof text
language plpgsql security definer set search_path = :"schema", public, pg_temp set lock_timeout = '5s'
as $$
declare
  old record;
begin
  if keep_days < 1 then
    raise exception 'retention of % days would drop what is being written', keep_days using errcode = 'invalid_parameter_value';
  end if;
  for old in
    select c.chunk_schema, c.chunk_name, c.range_start, c.range_end from timescaledb_information.chunks c
    where c.hypertable_schema = :'schema' and c.hypertable_name = wanted_table
      and c.range_end <= now() - make_interval(days => keep_days)
      and c.chunk_creation_time <= now() - make_interval(days => keep_days)
    order by c.range_start
  loop
    return query select drop_chunks(
      format('%I.%I', :'schema', wanted_table)::regclass, older_than => old.range_end, newer_than => old.range_start);
  end loop;
end
$$;

set local search_path = :"schema";
