-- The writer adds and updates; it can neither delete nor drop, but by the function that keeps the retention. The reader reads.

revoke all on function check_moments(timestamptz[]) from public;
revoke all on function ensure_partitions(text, timestamptz[]) from public;
revoke all on function apply_retention(text, integer) from public;

grant usage on schema :"schema" to :"writer", :"reader";
grant select, insert, update on tick_data, aggregated_data to :"writer";
grant select on tick_data, aggregated_data to :"reader";
grant execute on function ensure_partitions(text, timestamptz[]), apply_retention(text, integer) to :"writer";
