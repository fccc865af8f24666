-- After 7 days, as before, the default retention dropped ticks when they were due.

set local search_path = :"schema", public;

select remove_compression_policy('tick_data', if_exists => true);
select add_compression_policy('tick_data', compress_after => interval '2 days');

set local search_path = :"schema";
