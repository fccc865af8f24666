-- Every cancel, once. One without a trade's id has '' for it, and is told apart by price and size.
create table trade_cancels (
  symbol        text             not null,
  event_time    timestamptz      not null,
  provider      text             not null,
  trade_id      text             not null,
  price         double precision not null,
  size          double precision not null,
  received_time timestamptz      not null,
  asset_class   text             not null,
  stored_time   timestamptz      not null default now(),
  matched_id    text, -- of the trade it took back; null while there is none
  primary key (symbol, event_time, provider, trade_id, price, size)
);
create index trade_cancels_unmatched on trade_cancels (stored_time) where matched_id is null;

-- When the word came that a trade does not count. Without a default, which a compressed table would have to be opened for.
alter table tick_data add column cancelled_time timestamptz;
alter table aggregated_data add column cancelled bigint;
alter table technical_indicators add column cancelled bigint;

grant select, insert, update on trade_cancels to :"writer";
grant select on trade_cancels to :"reader";
