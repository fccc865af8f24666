-- Every statement of the writer and the reader. Times cross as integer microseconds since the epoch: a product with
-- an interval is exact up to 2^53, and extract() of a timestamptz is numeric, so nothing is rounded either way.

-- name: create_incoming_ticks
create temporary table if not exists incoming_ticks (
  symbol           text             not null,
  event_time_us    bigint           not null,
  received_time_us bigint           not null,
  price            double precision not null,
  size             double precision not null,
  provider         text             not null,
  trade_id         text             not null,
  sequence         bigint           not null,
  exchange         text,
  side             text,
  asset_class      text             not null,
  conditions       text[]           not null
) on commit delete rows

-- name: create_incoming_bars
create temporary table if not exists incoming_bars (
  symbol                text             not null,
  "interval"            text             not null,
  start_us              bigint           not null,
  end_us                bigint           not null,
  open                  double precision not null,
  high                  double precision not null,
  low                   double precision not null,
  close                 double precision not null,
  volume                double precision not null,
  vwap                  double precision not null,
  trade_count           bigint           not null,
  last_event_time_us    bigint           not null,
  last_received_time_us bigint           not null,
  final                 boolean          not null,
  revision              integer          not null
) on commit delete rows

-- name: copy_ticks
copy incoming_ticks from stdin

-- name: copy_bars
copy incoming_bars from stdin

-- name: insert_ticks
insert into tick_data (
  symbol, event_time, received_time, price, size, provider, trade_id, sequence, exchange, side, asset_class, conditions
)
select
  symbol,
  timestamptz 'epoch' + event_time_us * interval '1 microsecond',
  timestamptz 'epoch' + received_time_us * interval '1 microsecond',
  price, size, provider, trade_id, sequence, exchange, side, asset_class, conditions
from incoming_ticks
on conflict do nothing

-- name: upsert_bars
insert into aggregated_data as stored (
  symbol, "interval", start_time, end_time, open, high, low, close, volume, vwap, trade_count,
  last_event_time, last_received_time, final, revision
)
select
  symbol,
  "interval",
  timestamptz 'epoch' + start_us * interval '1 microsecond',
  timestamptz 'epoch' + end_us * interval '1 microsecond',
  open, high, low, close, volume, vwap, trade_count,
  timestamptz 'epoch' + last_event_time_us * interval '1 microsecond',
  timestamptz 'epoch' + last_received_time_us * interval '1 microsecond',
  final,
  revision
from incoming_bars
on conflict (symbol, "interval", start_time) do update set
  end_time = excluded.end_time,
  open = excluded.open,
  high = excluded.high,
  low = excluded.low,
  close = excluded.close,
  volume = excluded.volume,
  vwap = excluded.vwap,
  trade_count = excluded.trade_count,
  last_event_time = excluded.last_event_time,
  last_received_time = excluded.last_received_time,
  final = excluded.final,
  revision = excluded.revision
where (excluded.trade_count, excluded.final, excluded.revision) > (stored.trade_count, stored.final, stored.revision)

-- name: ensure_partitions
select ensure_partitions(
  %(table)s,
  array(select timestamptz 'epoch' + us * interval '1 microsecond' from unnest(%(moments_us)s::bigint[]) as us)
)

-- name: apply_retention
select apply_retention(%(table)s, %(keep_days)s)

-- name: ticks
select
  symbol,
  (extract(epoch from event_time) * 1000000)::bigint,
  (extract(epoch from received_time) * 1000000)::bigint,
  price, size, provider, trade_id, sequence, exchange, side, asset_class, conditions
from tick_data
where symbol = %(symbol)s and event_time >= %(start)s and event_time < %(end)s
order by event_time desc, sequence desc, provider desc, trade_id desc
limit %(limit)s

-- name: bars
select
  symbol,
  "interval",
  (extract(epoch from start_time) * 1000000)::bigint,
  (extract(epoch from end_time) * 1000000)::bigint,
  open, high, low, close, volume, vwap, trade_count,
  (extract(epoch from last_event_time) * 1000000)::bigint,
  (extract(epoch from last_received_time) * 1000000)::bigint,
  final,
  revision
from aggregated_data
where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
order by start_time desc
limit %(limit)s

-- name: known_trades
select trade_id
from tick_data
where symbol = %(symbol)s and event_time >= %(start)s and event_time < %(end)s
  and provider = %(provider)s and trade_id = any(%(trade_ids)s)

-- name: symbols
-- Hops along the keys from symbol to symbol, rather than past every row.
with recursive known (symbol) as (
  select least((select min(symbol) from tick_data), (select min(symbol) from aggregated_data))
  union all
  select least(
    (select min(t.symbol) from tick_data t where t.symbol > known.symbol),
    (select min(b.symbol) from aggregated_data b where b.symbol > known.symbol)
  )
  from known
  where known.symbol is not null
)
select symbol from known where symbol is not null order by symbol

-- name: ping
select 1 from tick_data limit 0
