-- TimescaleDB changes no column's type while a table may be compressed: what is compressed is opened, and compressed
-- again by its policy, which 0002_compress.sql puts back.

set local search_path = :"schema", public;

do $$
begin
  if current_setting('timescaledb.license', true) = 'timescale' then
    perform remove_compression_policy('aggregated_data', if_exists => true);
    perform decompress_chunk(chunk, if_compressed => true) from show_chunks('aggregated_data') as chunk;
    alter table aggregated_data set (timescaledb.compress = false);
  end if;
end
$$;

set local search_path = :"schema";
