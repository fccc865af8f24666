-- Compression as before, for bars and for the new history of feed events.

set local search_path = :"schema", public;

select create_hypertable('feed_events', by_range('time', interval '1 day'), create_default_indexes => false);

do $$
begin
  if current_setting('timescaledb.license', true) = 'timescale' then
    alter table aggregated_data set (
      timescaledb.compress, timescaledb.compress_segmentby = 'symbol, interval', timescaledb.compress_orderby = 'start_time desc');
    perform add_compression_policy('aggregated_data', compress_after => interval '60 days');
    alter table feed_events set (
      timescaledb.compress, timescaledb.compress_segmentby = 'provider', timescaledb.compress_orderby = 'time desc');
    perform add_compression_policy('feed_events', compress_after => interval '7 days');
  end if;
end
$$;

set local search_path = :"schema";
