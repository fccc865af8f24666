-- Before 2.18.1 a batch into a compressed chunk is cut off, without a word, at the first trade that is known already:
-- github.com/timescale/timescaledb/pull/7673.
do $$
declare
  version text;
begin
  select split_part(extversion, '-', 1) into strict version from pg_extension where extname = 'timescaledb';
  if string_to_array(version, '.')::integer[] < array[2, 18, 1] then
    raise exception 'TimescaleDB % loses trades that are stored into compressed chunks: install 2.18.1 or newer, then run'
      ' `alter extension timescaledb update` as the first statement of a session', version;
  end if;
end
$$;
