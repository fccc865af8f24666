-- Every trade, once. The key is also the index for "newest N of a symbol" and for ranges: it starts with symbol, event_time.
create table tick_data (
  symbol        text             not null,
  event_time    timestamptz      not null,
  received_time timestamptz      not null,
  price         double precision not null,
  size          double precision not null,
  provider      text             not null,
  trade_id      text             not null,
  sequence      bigint           not null,
  exchange      text,
  side          text,
  asset_class   text             not null,
  conditions    text[]           not null,
  primary key (symbol, event_time, provider, trade_id)
) :partition_ticks;

-- The newest version of every bar.
create table aggregated_data (
  symbol             text             not null,
  "interval"         text             not null,
  start_time         timestamptz      not null,
  end_time           timestamptz      not null,
  open               double precision not null,
  high               double precision not null,
  low                double precision not null,
  close              double precision not null,
  volume             double precision not null,
  vwap               double precision not null,
  trade_count        bigint           not null,
  last_event_time    timestamptz      not null,
  last_received_time timestamptz      not null,
  final              boolean          not null,
  revision           integer          not null,
  primary key (symbol, "interval", start_time)
) :partition_bars;

-- The tables that are cut by time, and how.
create table partitioned_tables (
  table_name  text primary key,
  time_column text not null,
  unit        text not null check (unit in ('day', 'month'))
);
insert into partitioned_tables values ('tick_data', 'event_time', 'day'), ('aggregated_data', 'start_time', 'month');

-- Refuses times no honest message carries, before a partition is made for them.
create function check_moments(moments timestamptz[]) returns void
language plpgsql stable
as $$
declare
  wrong timestamptz;
begin
  select moment into wrong from unnest(moments) as moment
  where moment < 'epoch' or moment > now() + interval '1 year' limit 1;
  if found then
    raise exception 'time out of range: %', wrong using errcode = 'datetime_field_overflow';
  end if;
end
$$;
