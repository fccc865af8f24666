-- A hypertable, compressed as bars are.

set local search_path = :"schema", public;

select create_hypertable('technical_indicators', by_range('start_time', interval '30 days'), create_default_indexes => false);

do $$
begin
  if current_setting('timescaledb.license', true) = 'timescale' then
    alter table technical_indicators set (
      timescaledb.compress, timescaledb.compress_segmentby = 'symbol, interval', timescaledb.compress_orderby = 'start_time desc');
    perform add_compression_policy('technical_indicators', compress_after => interval '60 days');
  end if;
end
$$;

set local search_path = :"schema";
