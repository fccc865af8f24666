-- Every statement of the writer and the reader. Times cross as integer microseconds since the epoch: a product with
-- an interval is exact up to 2^53, and extract() of a timestamptz is numeric, so nothing is rounded either way.

-- name: allow_decompression
-- To see whether a trade of a compressed day is known, TimescaleDB opens what may hold it, by default only so much of it
-- for a statement: a backfill's batch would be refused, and again whenever it is tried. PostgreSQL alone ignores this.
select set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', false)

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
  vwap                  double precision,
  trade_count           bigint           not null,
  last_event_time_us    bigint           not null,
  last_received_time_us bigint           not null,
  final                 boolean          not null,
  revision              bigint           not null,
  provider              text,
  cancelled             bigint           not null
) on commit delete rows

-- name: create_incoming_indicators
create temporary table if not exists incoming_indicators (
  symbol                text             not null,
  "interval"            text             not null,
  start_us              bigint           not null,
  end_us                bigint           not null,
  final                 boolean          not null,
  revision              bigint           not null,
  trade_count           bigint           not null,
  close                 double precision not null,
  last_event_time_us    bigint           not null,
  last_received_time_us bigint           not null,
  "values"              jsonb            not null,
  provider              text,
  cancelled             bigint           not null
) on commit delete rows

-- name: copy_ticks
copy incoming_ticks from stdin

-- name: copy_bars
copy incoming_bars from stdin

-- name: copy_indicators
copy incoming_indicators from stdin

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
  last_event_time, last_received_time, final, revision, provider, cancelled
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
  revision,
  provider,
  cancelled
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
  revision = excluded.revision,
  provider = excluded.provider,
  cancelled = excluded.cancelled
where (
  excluded.provider is null,
  case when excluded.provider is null then excluded.trade_count + coalesce(excluded.cancelled, 0) else 0 end,
  coalesce(excluded.cancelled, 0),
  excluded.final,
  excluded.revision
) > (
  stored.provider is null,
  case when stored.provider is null then stored.trade_count + coalesce(stored.cancelled, 0) else 0 end,
  coalesce(stored.cancelled, 0),
  stored.final,
  stored.revision
)

-- name: upsert_indicators
-- The same version again counts: it may have been corrected.
insert into technical_indicators as stored (
  symbol, "interval", start_time, end_time, final, revision, trade_count, close,
  last_event_time, last_received_time, "values", provider, cancelled
)
select
  symbol,
  "interval",
  timestamptz 'epoch' + start_us * interval '1 microsecond',
  timestamptz 'epoch' + end_us * interval '1 microsecond',
  final, revision, trade_count, close,
  timestamptz 'epoch' + last_event_time_us * interval '1 microsecond',
  timestamptz 'epoch' + last_received_time_us * interval '1 microsecond',
  "values",
  provider,
  cancelled
from incoming_indicators
on conflict (symbol, "interval", start_time) do update set
  end_time = excluded.end_time,
  final = excluded.final,
  revision = excluded.revision,
  trade_count = excluded.trade_count,
  close = excluded.close,
  last_event_time = excluded.last_event_time,
  last_received_time = excluded.last_received_time,
  "values" = excluded."values",
  provider = excluded.provider,
  cancelled = excluded.cancelled
where (
  excluded.provider is null,
  case when excluded.provider is null then excluded.trade_count + coalesce(excluded.cancelled, 0) else 0 end,
  coalesce(excluded.cancelled, 0),
  excluded.final,
  excluded.revision
) >= (
  stored.provider is null,
  case when stored.provider is null then stored.trade_count + coalesce(stored.cancelled, 0) else 0 end,
  coalesce(stored.cancelled, 0),
  stored.final,
  stored.revision
)

-- name: insert_cancel
insert into trade_cancels (symbol, event_time, provider, trade_id, price, size, received_time, asset_class)
values (
  %(symbol)s,
  timestamptz 'epoch' + %(event_time_us)s * interval '1 microsecond',
  %(provider)s, %(trade_id)s, %(price)s, %(size)s,
  timestamptz 'epoch' + %(received_time_us)s * interval '1 microsecond',
  %(asset_class)s
)
on conflict do nothing

-- name: found_cancels
-- Each cancel that has no trade yet with the one it means, by its id, else the first that is equal in what it repeats.
-- A cancel whose trade has not come within a day is left alone.
select c.symbol, c.event_time, c.provider, c.trade_id, c.price, c.size, c.received_time, t.trade_id as matched_id
from trade_cancels c, lateral (
  select t.trade_id from tick_data t
  where t.symbol = c.symbol and t.event_time = c.event_time and t.provider = c.provider
    and t.cancelled_time is null
    and case when c.trade_id <> '' then t.trade_id = c.trade_id else t.price = c.price and t.size = c.size end
  order by t.sequence, t.trade_id
  limit 1
) t
where c.matched_id is null and c.stored_time > now() - interval '1 day'

-- name: mark_cancelled
-- By constants alone: TimescaleDB opens every compressed chunk that a join could reach, found or not.
update tick_data
set cancelled_time = %(received_time)s
where symbol = %(symbol)s and event_time = %(event_time)s and provider = %(provider)s and trade_id = %(matched_id)s
  and cancelled_time is null

-- name: match_cancel
update trade_cancels
set matched_id = %(matched_id)s
where symbol = %(symbol)s and event_time = %(event_time)s and provider = %(provider)s and trade_id = %(trade_id)s
  and price = %(price)s and size = %(size)s

-- name: restored_cancels
-- Those that had found a trade before it came again. An ordinary batch has none of these, so it need not look.
select c.symbol, c.event_time, c.provider, c.trade_id, c.price, c.size, c.received_time, c.matched_id
from incoming_ticks i
join trade_cancels c
  on c.symbol = i.symbol and c.event_time = timestamptz 'epoch' + i.event_time_us * interval '1 microsecond'
  and c.provider = i.provider and c.matched_id = i.trade_id

-- name: upsert_feed
-- A repeated status leaves what happened last as it is; an event that says nothing of the role leaves that.
insert into feeds as stored (provider, time, log_offset, role, fault, attempt, lag_ms, event_time, kind, detail)
select
  %(provider)s, said.at, %(log_offset)s, %(role)s, %(fault)s, %(attempt)s, %(lag_ms)s,
  case when %(kind)s <> 'status' then said.at end,
  case when %(kind)s <> 'status' then %(kind)s end,
  case when %(kind)s <> 'status' then %(detail)s end
from (select timestamptz 'epoch' + %(time_us)s * interval '1 microsecond' as at) as said
on conflict (provider) do update set
  time = excluded.time,
  log_offset = excluded.log_offset,
  role = coalesce(excluded.role, stored.role),
  fault = excluded.fault,
  attempt = excluded.attempt,
  lag_ms = excluded.lag_ms,
  event_time = coalesce(excluded.event_time, stored.event_time),
  kind = coalesce(excluded.kind, stored.kind),
  detail = coalesce(excluded.detail, stored.detail)
where (excluded.time, excluded.log_offset) > (stored.time, stored.log_offset)

-- name: insert_feed_event
insert into feed_events (time, provider, event_id, kind, detail, attempt, role, fault, lag_ms, gap)
values (
  timestamptz 'epoch' + %(time_us)s * interval '1 microsecond',
  %(provider)s, %(event_id)s, %(kind)s, %(detail)s, %(attempt)s, %(role)s, %(fault)s, %(lag_ms)s, %(gap)s
)
on conflict do nothing

-- name: upsert_gap
insert into feed_gaps as stored (
  gap_id, provider, symbol, start_time, end_time, first_id, last_id, missing, filled, state, detail,
  opened_time, updated_time, log_offset
)
values (
  %(gap_id)s, %(provider)s, %(symbol)s,
  timestamptz 'epoch' + %(start_us)s * interval '1 microsecond',
  timestamptz 'epoch' + %(end_us)s * interval '1 microsecond',
  %(first_id)s, %(last_id)s, %(missing)s, %(filled)s, %(state)s, %(detail)s,
  timestamptz 'epoch' + %(opened_us)s * interval '1 microsecond',
  timestamptz 'epoch' + %(updated_us)s * interval '1 microsecond',
  %(log_offset)s
)
on conflict (gap_id) do update set
  provider = excluded.provider,
  symbol = excluded.symbol,
  start_time = excluded.start_time,
  end_time = excluded.end_time,
  first_id = excluded.first_id,
  last_id = excluded.last_id,
  missing = excluded.missing,
  filled = excluded.filled,
  state = excluded.state,
  detail = excluded.detail,
  opened_time = excluded.opened_time,
  updated_time = excluded.updated_time,
  log_offset = excluded.log_offset
where (excluded.updated_time, excluded.log_offset) > (stored.updated_time, stored.log_offset)

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

-- name: ticks_before
-- The place is compared as a whole; the time alone lets the index begin there.
select
  symbol,
  (extract(epoch from event_time) * 1000000)::bigint,
  (extract(epoch from received_time) * 1000000)::bigint,
  price, size, provider, trade_id, sequence, exchange, side, asset_class, conditions
from tick_data
where symbol = %(symbol)s and event_time >= %(start)s and event_time <= %(place_time)s
  and (event_time, sequence, provider, trade_id) < (%(place_time)s, %(sequence)s, %(provider)s, %(trade_id)s)
order by event_time desc, sequence desc, provider desc, trade_id desc
limit %(limit)s

-- name: ticks_after
select
  symbol,
  (extract(epoch from event_time) * 1000000)::bigint,
  (extract(epoch from received_time) * 1000000)::bigint,
  price, size, provider, trade_id, sequence, exchange, side, asset_class, conditions
from tick_data
where symbol = %(symbol)s and event_time >= %(place_time)s and event_time < %(end)s
  and (event_time, sequence, provider, trade_id) > (%(place_time)s, %(sequence)s, %(provider)s, %(trade_id)s)
order by event_time, sequence, provider, trade_id
limit %(limit)s

-- name: ticks_between
-- Of every symbol where none is named.
select
  symbol,
  (extract(epoch from event_time) * 1000000)::bigint,
  (extract(epoch from received_time) * 1000000)::bigint,
  price, size, provider, trade_id, sequence, exchange, side, asset_class, conditions
from tick_data
where event_time >= %(start)s and event_time < %(end)s
  and (cardinality(%(symbols)s::text[]) = 0 or symbol = any(%(symbols)s::text[]))

-- name: cancels_between
-- Of every symbol where none is named.
select
  symbol,
  (extract(epoch from event_time) * 1000000)::bigint,
  (extract(epoch from received_time) * 1000000)::bigint,
  price, size, provider, trade_id, asset_class, matched_id
from trade_cancels
where event_time >= %(start)s and event_time < %(end)s
  and (cardinality(%(symbols)s::text[]) = 0 or symbol = any(%(symbols)s::text[]))

-- name: latest_tick
select
  symbol,
  (extract(epoch from event_time) * 1000000)::bigint,
  (extract(epoch from received_time) * 1000000)::bigint,
  price, size, provider, trade_id, sequence, exchange, side, asset_class, conditions
from tick_data t
where symbol = %(symbol)s and cancelled_time is null and not exists (
  select from unnest(%(providers)s::text[], %(codes)s::text[]) as held_back (provider, code)
  where held_back.provider = t.provider and held_back.code = any(t.conditions)
)
order by event_time desc, sequence desc, provider desc, trade_id desc
limit 1

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
  revision,
  provider,
  coalesce(cancelled, 0)
from aggregated_data
where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
  and (%(void)s or provider is not null or trade_count > 0)
order by start_time desc
limit %(limit)s

-- name: bars_and_rolled_up
-- Of a start that has both, the one made here of trades; of two such, the one that was stored as it is.
select distinct on (start_time)
  symbol,
  "interval",
  (extract(epoch from start_time) * 1000000)::bigint,
  (extract(epoch from end_time) * 1000000)::bigint,
  open, high, low, close, volume, vwap, trade_count,
  (extract(epoch from last_event_time) * 1000000)::bigint,
  (extract(epoch from last_received_time) * 1000000)::bigint,
  final,
  revision,
  provider,
  coalesce(cancelled, 0)
from (
  (
    select
      symbol, "interval", start_time, end_time, open, high, low, close, volume, vwap, trade_count,
      last_event_time, last_received_time, final, revision, provider, cancelled, false as rolled_up
    from aggregated_data
    where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
      and (%(void)s or provider is not null or trade_count > 0)
    order by start_time desc
    limit %(limit)s
  )
  union all
  (
    select
      symbol, "interval", start_time, end_time, open, high, low, close, volume, vwap, trade_count,
      last_event_time, last_received_time, final, revision, provider, cancelled, true
    from rolled_up_bars
    where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
    order by start_time desc
    limit %(limit)s
  )
) as bars
order by start_time desc, provider is null desc, rolled_up
limit %(limit)s

-- name: indicators
select
  symbol,
  "interval",
  (extract(epoch from start_time) * 1000000)::bigint,
  (extract(epoch from end_time) * 1000000)::bigint,
  final, revision, trade_count, close,
  (extract(epoch from last_event_time) * 1000000)::bigint,
  (extract(epoch from last_received_time) * 1000000)::bigint,
  "values",
  provider,
  coalesce(cancelled, 0)
from technical_indicators
where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
order by start_time desc
limit %(limit)s

-- name: first_bars
select
  symbol,
  "interval",
  (extract(epoch from start_time) * 1000000)::bigint,
  (extract(epoch from end_time) * 1000000)::bigint,
  open, high, low, close, volume, vwap, trade_count,
  (extract(epoch from last_event_time) * 1000000)::bigint,
  (extract(epoch from last_received_time) * 1000000)::bigint,
  final,
  revision,
  provider,
  coalesce(cancelled, 0)
from aggregated_data
where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
  and (provider is not null or trade_count > 0)
order by start_time
limit %(limit)s

-- name: first_bars_and_rolled_up
select distinct on (start_time)
  symbol,
  "interval",
  (extract(epoch from start_time) * 1000000)::bigint,
  (extract(epoch from end_time) * 1000000)::bigint,
  open, high, low, close, volume, vwap, trade_count,
  (extract(epoch from last_event_time) * 1000000)::bigint,
  (extract(epoch from last_received_time) * 1000000)::bigint,
  final,
  revision,
  provider,
  coalesce(cancelled, 0)
from (
  (
    select
      symbol, "interval", start_time, end_time, open, high, low, close, volume, vwap, trade_count,
      last_event_time, last_received_time, final, revision, provider, cancelled, false as rolled_up
    from aggregated_data
    where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
      and (provider is not null or trade_count > 0)
    order by start_time
    limit %(limit)s
  )
  union all
  (
    select
      symbol, "interval", start_time, end_time, open, high, low, close, volume, vwap, trade_count,
      last_event_time, last_received_time, final, revision, provider, cancelled, true
    from rolled_up_bars
    where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
    order by start_time
    limit %(limit)s
  )
) as bars
order by start_time, provider is null desc, rolled_up
limit %(limit)s

-- name: first_indicators
select
  symbol,
  "interval",
  (extract(epoch from start_time) * 1000000)::bigint,
  (extract(epoch from end_time) * 1000000)::bigint,
  final, revision, trade_count, close,
  (extract(epoch from last_event_time) * 1000000)::bigint,
  (extract(epoch from last_received_time) * 1000000)::bigint,
  "values",
  provider,
  coalesce(cancelled, 0)
from technical_indicators
where symbol = %(symbol)s and "interval" = %(interval)s and start_time >= %(start)s and start_time < %(end)s
order by start_time
limit %(limit)s

-- name: known_trades
select trade_id
from tick_data
where symbol = %(symbol)s and event_time >= %(start)s and event_time < %(end)s
  and provider = %(provider)s and trade_id = any(%(trade_ids)s)

-- name: cancelled_trades
select provider, matched_id
from trade_cancels
where symbol = %(symbol)s and event_time >= %(start)s and event_time < %(end)s and matched_id is not null

-- name: cancelled_trades_of
select c.symbol, c.provider, c.matched_id
from unnest(%(symbols)s::text[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]) as wanted (symbol, from_time, to_time)
join trade_cancels c
  on c.symbol = wanted.symbol and c.event_time >= wanted.from_time and c.event_time < wanted.to_time
where c.matched_id is not null

-- name: bars_to_correct
-- Final bars that still hold trades which were taken back not before %(since)s.
select
  b.symbol,
  b."interval",
  (extract(epoch from b.start_time) * 1000000)::bigint,
  (extract(epoch from b.end_time) * 1000000)::bigint,
  b.open, b.high, b.low, b.close, b.volume, b.vwap, b.trade_count,
  (extract(epoch from b.last_event_time) * 1000000)::bigint,
  (extract(epoch from b.last_received_time) * 1000000)::bigint,
  b.final,
  b.revision,
  b.provider,
  coalesce(b.cancelled, 0)
from (
  select distinct
    c.symbol,
    i.name,
    timestamptz 'epoch' + (us - us %% i.length_us) * interval '1 microsecond' as start_time
  from trade_cancels c
  cross join lateral (select (extract(epoch from c.event_time) * 1000000)::bigint as us) as moment
  cross join unnest(%(names)s::text[], %(lengths_us)s::bigint[]) as i (name, length_us)
  where c.matched_id is not null and c.stored_time >= %(since)s
) as w
join aggregated_data b on b.symbol = w.symbol and b."interval" = w.name and b.start_time = w.start_time
where b.provider is null and b.final and coalesce(b.cancelled, 0) < (
  select count(distinct (x.event_time, x.provider, x.matched_id)) from trade_cancels x
  where x.symbol = b.symbol and x.event_time >= b.start_time and x.event_time < b.end_time and x.matched_id is not null
)
order by b.end_time

-- name: trades_of_bar
select
  symbol,
  (extract(epoch from event_time) * 1000000)::bigint,
  (extract(epoch from received_time) * 1000000)::bigint,
  price, size, provider, trade_id, sequence, exchange, side, asset_class, conditions,
  cancelled_time is not null
from tick_data
where symbol = %(symbol)s and event_time >= %(start)s and event_time < %(end)s

-- name: unmatched_cancels
select count(*) from trade_cancels where matched_id is null

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

-- name: intervals
-- Hops along the keys from (symbol, interval) to the next, rather than past every row. Minutes can be rolled up.
with recursive known (symbol, "interval") as (
  (select symbol, "interval" from aggregated_data order by symbol, "interval" limit 1)
  union all
  select following.symbol, following."interval"
  from known, lateral (
    select b.symbol, b."interval" from aggregated_data b
    where (b.symbol, b."interval") > (known.symbol, known."interval")
    order by b.symbol, b."interval" limit 1
  ) as following
)
select distinct "interval" from known
union
select rolled_up from unnest(%(rolled_up)s::text[]) as rolled_up where exists (select from known where "interval" = '1min')

-- name: feeds
select
  coalesce(f.provider, g.provider),
  f.role, f.kind, f.detail, f.fault, f.attempt, f.lag_ms,
  (extract(epoch from f.time) * 1000000)::bigint,
  (extract(epoch from f.event_time) * 1000000)::bigint,
  coalesce(g.open, 0), coalesce(g.closed, 0), coalesce(g.unfillable, 0)
from feeds f
full join (
  select
    provider,
    count(*) filter (where state = 'open') as open,
    count(*) filter (where state = 'closed') as closed,
    count(*) filter (where state = 'unfillable') as unfillable
  from feed_gaps
  group by provider
) as g on g.provider = f.provider
order by 1

-- name: feed_events
select
  kind, provider, detail,
  (extract(epoch from time) * 1000000)::bigint,
  attempt, role, fault, lag_ms, gap, event_id
from feed_events
where (%(provider)s::text is null or provider = %(provider)s) and (%(kind)s::text is null or kind = %(kind)s)
  and time <= %(place_time)s
  and (time, provider, event_id) < (%(place_time)s, %(place_provider)s, %(place_id)s)
order by time desc, provider desc, event_id desc
limit %(limit)s

-- name: feed_gaps
select
  gap_id, provider, symbol,
  (extract(epoch from start_time) * 1000000)::bigint,
  (extract(epoch from end_time) * 1000000)::bigint,
  first_id, last_id, missing, filled, state, detail,
  (extract(epoch from opened_time) * 1000000)::bigint,
  (extract(epoch from updated_time) * 1000000)::bigint
from feed_gaps
where (%(symbol)s::text is null or symbol = %(symbol)s)
  and (%(provider)s::text is null or provider = %(provider)s)
  and (%(state)s::text is null or state = %(state)s)
  and start_time < %(end)s and end_time >= %(start)s
  and start_time <= %(place_time)s and (start_time, gap_id) < (%(place_time)s, %(place_id)s)
order by start_time desc, gap_id desc
limit %(limit)s

-- name: completeness
-- Per symbol and minute: the trades there are, those known to be missing, and the µs of which nobody knows what they
-- held. A gap's missing trades are spread evenly over it; stretches that overlap count once.
with minutes as (
  select s.symbol, m.minute, m.minute + interval '1 minute' as minute_end
  from unnest(%(symbols)s::text[]) as s (symbol)
  cross join generate_series(
    %(start)s::timestamptz, %(end)s::timestamptz - interval '1 minute', interval '1 minute'
  ) as m (minute)
), received as (
  select symbol, date_trunc('minute', event_time) as minute, count(*) as ticks
  from tick_data
  where symbol = any(%(symbols)s::text[]) and event_time >= %(start)s and event_time < %(end)s
  group by 1, 2
), holes as (
  select gap_id, symbol, missing, least(start_time, end_time) as hole_start, greatest(start_time, end_time) as hole_end
  from feed_gaps
  where symbol = any(%(symbols)s::text[]) and state <> 'closed'
    and least(start_time, end_time) < %(end)s and greatest(start_time, end_time) >= %(start)s
), parts as (
  select
    m.symbol, m.minute, h.gap_id, h.missing,
    greatest(h.hole_start, m.minute) as part_start,
    least(h.hole_end, m.minute_end) as part_end,
    extract(epoch from h.hole_end - h.hole_start) as hole_seconds
  from holes h
  join minutes m
    on m.symbol = h.symbol and h.hole_start < m.minute_end and (h.hole_end > m.minute or h.hole_start >= m.minute)
), lost as (
  select
    symbol, minute,
    coalesce(sum(
      case when hole_seconds = 0 then missing else missing * extract(epoch from part_end - part_start) / hole_seconds end
    ), 0) as missing,
    range_agg(tstzrange(part_start, part_end)) filter (where missing is null) as uncovered,
    array_agg(gap_id order by gap_id) as gap_ids
  from parts
  group by symbol, minute
)
select
  m.symbol,
  (extract(epoch from m.minute) * 1000000)::bigint,
  coalesce(r.ticks, 0),
  coalesce(l.missing, 0)::double precision,
  coalesce((select extract(epoch from sum(upper(u) - lower(u))) from unnest(l.uncovered) as u), 0)::double precision,
  coalesce(l.gap_ids, '{}')
from minutes m
left join received r on r.symbol = m.symbol and r.minute = m.minute
left join lost l on l.symbol = m.symbol and l.minute = m.minute
order by m.symbol, m.minute

-- name: ping
select 1 from tick_data limit 0
