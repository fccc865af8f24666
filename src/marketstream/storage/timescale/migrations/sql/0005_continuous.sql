-- The same as a continuous aggregate: kept up to date by a job, and completed by what came since when it is read.
-- The job looks at all that changed, however old: a day of 2013 that is replayed today is rolled up too, and what
-- retention drops from the minutes goes from here as well.

set local search_path = :"schema", public;

create materialized view :"name" with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
  symbol,
  time_bucket(interval :'length', start_time) as start_time,
  first(open, start_time) as open,
  max(high) as high,
  min(low) as low,
  last(close, start_time) as close,
  sum(volume) as volume,
  sum(vwap * volume) as notional,
  sum(volume) filter (where vwap is not null) as priced_volume,
  sum(vwap * trade_count) as price_sum,
  sum(trade_count) filter (where vwap is not null) as priced_trades,
  sum(trade_count) as trade_count,
  max(last_event_time) as last_event_time,
  max(last_received_time) as last_received_time,
  bool_and(final) as final,
  max(revision) as revision,
  sum(cancelled) as cancelled,
  bool_or(provider is null) as made_here,
  min(provider) as provider
from aggregated_data
where "interval" = '1min' and (provider is not null or trade_count > 0) -- a void minute still has the prices it had
group by 1, 2
with no data;

select add_continuous_aggregate_policy(
  :'name', start_offset => null, end_offset => interval '1 hour', schedule_interval => interval '1 minute');

set local search_path = :"schema";
