-- Native range partitions, made when a writer first meets their time: an old day's replay is as welcome as today.

create table table_partitions (
  table_name  text        not null references partitioned_tables,
  range_start timestamptz not null,
  range_end   timestamptz not null,
  name        text        not null,
  created_at  timestamptz not null default now(),
  primary key (table_name, range_start)
);

-- Makes the partitions that cover these times, where they are missing.
create function ensure_partitions(wanted_table text, moments timestamptz[]) returns void
language plpgsql security definer set search_path = :"schema", pg_temp set timezone = 'UTC'
as $$
declare
  rule   partitioned_tables;
  starts timestamptz;
  ends   timestamptz;
  named  text;
begin
  select * into strict rule from partitioned_tables where table_name = wanted_table;
  perform check_moments(moments);
  for starts in select distinct date_trunc(rule.unit, moment) from unnest(moments) as moment order by 1 loop
    continue when exists (select from table_partitions p where p.table_name = wanted_table and p.range_start = starts);
    perform pg_advisory_xact_lock(hashtext(rule.table_name), 1);
    continue when exists (select from table_partitions p where p.table_name = wanted_table and p.range_start = starts);
    ends := starts + ('1 ' || rule.unit)::interval;
    named := wanted_table || to_char(starts, case rule.unit when 'day' then '"_p"YYYYMMDD' else '"_p"YYYYMM' end);
    -- Made apart and then attached: that lets readers and other writers of the table go on meanwhile.
    execute format('create table %I (like %I including defaults including constraints)', named, wanted_table);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)', wanted_table, named, starts, ends);
    insert into table_partitions (table_name, range_start, range_end, name) values (wanted_table, starts, ends, named);
  end loop;
end
$$;

-- Drops partitions whose times and whose making both lie further back than `keep_days`; returns their names.
create function apply_retention(wanted_table text, keep_days integer) returns setof text
language plpgsql security definer set search_path = :"schema", pg_temp set lock_timeout = '5s'
as $$
declare
  old record;
begin
  if keep_days < 1 then
    raise exception 'retention of % days would drop what is being written', keep_days using errcode = 'invalid_parameter_value';
  end if;
  for old in
    select p.name, p.range_start from table_partitions p
    where p.table_name = wanted_table
      and p.range_end <= now() - make_interval(days => keep_days)
      and p.created_at <= now() - make_interval(days => keep_days)
    order by p.range_start
  loop
    execute format('drop table %I', old.name);
    delete from table_partitions p where p.table_name = wanted_table and p.range_start = old.range_start;
    return next old.name;
  end loop;
end
$$;
