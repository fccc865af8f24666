-- Bars of an hour and of a day with the columns of `aggregated_data`. One is final when its minutes are and a later minute
-- of the symbol is, so that no trade in time can still come; made by a provider when all of them are.
create view rolled_up_bars as
select
  symbol,
  "interval",
  start_time,
  end_time,
  open,
  high,
  low,
  close,
  volume,
  coalesce(notional / nullif(priced_volume, 0), price_sum / nullif(priced_trades::double precision, 0)) as vwap,
  trade_count::bigint as trade_count,
  last_event_time,
  last_received_time,
  final and exists (
    select from aggregated_data later
    where later.symbol = rolled.symbol and later."interval" = '1min' and later.start_time >= rolled.end_time
      and later.final
  ) as final,
  revision,
  case when not made_here then provider end as provider,
  cancelled::bigint as cancelled
from (
  select '1h' as "interval", start_time + interval '1 hour' as end_time, * from bars_1h
  union all
  select '1d', start_time + interval '1 day', * from bars_1d
) as rolled;

grant select on bars_1h, bars_1d, rolled_up_bars to :"writer", :"reader";
