-- How every provider's feed is now, by its newest event.
create table feeds (
  provider   text             primary key,
  time       timestamptz      not null, -- of the newest event that spoke of the feed
  log_offset bigint           not null, -- that event's place on the topic: tells events of one time apart
  role       text,
  fault      text,
  attempt    integer          not null,
  lag_ms     double precision,
  event_time timestamptz,               -- of the newest event that is no repeated status
  kind       text,                      -- and what that was
  detail     text
);

-- What happened to the feeds. The id is made of the event's content, so the same event again is the same row.
create table feed_events (
  time     timestamptz      not null,
  provider text             not null,
  event_id text             not null,
  kind     text             not null,
  detail   text             not null,
  attempt  integer          not null,
  role     text,
  fault    text,
  lag_ms   double precision,
  gap      jsonb,
  primary key (time, provider, event_id)
) :partition_feed_events;

-- Every stretch of trades that did not come by the stream, as it was said of it last.
create table feed_gaps (
  gap_id       text        primary key,
  provider     text        not null,
  symbol       text        not null,
  start_time   timestamptz not null,
  end_time     timestamptz not null,
  first_id     bigint,
  last_id      bigint,
  missing      bigint,
  filled       bigint      not null,
  state        text        not null,
  detail       text        not null,
  opened_time  timestamptz not null,
  updated_time timestamptz not null,
  log_offset   bigint      not null
);
create index on feed_gaps (symbol, end_time);
create index on feed_gaps (provider, state);
create index on feed_gaps (start_time);

insert into partitioned_tables values ('feed_events', 'time', 'day');

grant select, insert, update on feeds, feed_events, feed_gaps to :"writer";
grant select on feeds, feed_events, feed_gaps to :"reader";
