-- Who is connected and which statements take the time: figures of all roles, which only the owner may see whole. Asked
-- through it, nobody learns what a session just asked: of statements only the form is shown, with $1 for every value,
-- and none of the access role's.

create function database_connections()
returns table (state text, number bigint, oldest_transaction_seconds double precision)
language sql volatile security definer set search_path = pg_catalog, pg_temp
as $$
  select
    coalesce(activity.state, 'unknown'), count(*),
    max(extract(epoch from clock_timestamp() - activity.xact_start))::double precision
  from pg_stat_activity activity
  where activity.datname = current_database() and activity.backend_type = 'client backend'
  group by 1
$$;

-- The 50 that took most time; none where pg_stat_statements is not installed or not loaded.
create function statement_times()
returns table (statement text, calls bigint, total_seconds double precision, mean_seconds double precision, rows bigint)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if to_regclass('public.pg_stat_statements') is null then
    return;
  end if;
  return query execute format($query$
    select
      left(regexp_replace(query, '\s+', ' ', 'g'), 300), calls, total_exec_time / 1000, mean_exec_time / 1000, rows
    from public.pg_stat_statements
    where dbid = (select oid from pg_database where datname = current_database()) and userid <> %L::regrole
    order by total_exec_time desc
    limit 50
  $query$, :'access');
exception when object_not_in_prerequisite_state then -- not loaded at the server's start
  return;
end
$$;

revoke all on function table_sizes(), database_connections(), statement_times() from public;
grant execute on function table_sizes(), database_connections(), statement_times() to :"reader";
