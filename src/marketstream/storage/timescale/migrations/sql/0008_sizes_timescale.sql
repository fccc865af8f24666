-- Size, estimated rows and number of chunks of every table; compressed chunks count by what they take.
create function table_sizes() returns table (name text, bytes bigint, rows_estimated bigint, parts bigint)
language sql stable set search_path = :"schema", public, pg_temp
as $$
  select
    root.relname::text,
    case when cut.hypertable_name is null then pg_total_relation_size(root.oid) else hypertable_size(root.oid::regclass) end,
    case when cut.hypertable_name is null then greatest(root.reltuples, 0)::bigint
         else approximate_row_count(root.oid::regclass) end,
    coalesce(cut.num_chunks, 0)
  from pg_class root
  left join timescaledb_information.hypertables cut
    on cut.hypertable_schema = :'schema' and cut.hypertable_name = root.relname
  where root.relnamespace = :'schema'::regnamespace and root.relkind in ('r', 'p') and not root.relispartition
$$;
