-- Takes TimescaleDB where it is installed, loaded at the server's start, and ours to create; carries on without it elsewhere.
-- Its loader defines timescaledb.disable_load; creating the extension without the loader would end the session.
do $$
begin
  if exists (select from pg_available_extensions where name = 'timescaledb')
     and current_setting('timescaledb.disable_load', true) is not null then
    create extension if not exists timescaledb with schema public;
  end if;
exception
  when insufficient_privilege or invalid_schema_name or feature_not_supported then
    raise notice 'TimescaleDB is there but can not be created (%); partitioning natively', sqlerrm;
end
$$;
