-- The indicators of every bar, as of the newest version of it that they were told of.
create table technical_indicators (
  symbol             text             not null,
  "interval"         text             not null,
  start_time         timestamptz      not null,
  end_time           timestamptz      not null,
  final              boolean          not null,
  revision           bigint           not null,
  trade_count        bigint           not null,
  close              double precision not null,
  last_event_time    timestamptz      not null,
  last_received_time timestamptz      not null,
  "values"           jsonb            not null, -- a number by name; without those that are undefined
  provider           text,
  primary key (symbol, "interval", start_time)
) :partition_indicators;

insert into partitioned_tables values ('technical_indicators', 'start_time', 'month');

grant select, insert, update on technical_indicators to :"writer";
grant select on technical_indicators to :"reader";
