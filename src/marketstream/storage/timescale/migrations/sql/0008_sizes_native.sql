-- Size, estimated rows and number of partitions of every table.
create function table_sizes() returns table (name text, bytes bigint, rows_estimated bigint, parts bigint)
language sql stable set search_path = :"schema", pg_temp
as $$
  select
    root.relname::text,
    sum(pg_total_relation_size(leaf.oid))::bigint,
    coalesce(sum(greatest(leaf.reltuples, 0)) filter (where leaf.relkind = 'r'), 0)::bigint,
    count(part.relid) filter (where part.isleaf and part.level > 0)
  from pg_class root
  left join lateral pg_partition_tree(root.oid) part on true
  join pg_class leaf on leaf.oid = coalesce(part.relid, root.oid)
  where root.relnamespace = :'schema'::regnamespace and root.relkind in ('r', 'p') and not root.relispartition
  group by root.relname
$$;
