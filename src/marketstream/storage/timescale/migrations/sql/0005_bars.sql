-- What PostgreSQL computes each time it is asked: bars of :length, made of those of a minute. The number of trades is the
-- weight where nothing was traded but at size zero.
create view :"name" as
select
  symbol,
  date_bin(interval :'length', start_time, timestamptz 'epoch') as start_time,
  (array_agg(open order by start_time))[1] as open,
  max(high) as high,
  min(low) as low,
  (array_agg(close order by start_time desc))[1] as close,
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
group by 1, 2;
