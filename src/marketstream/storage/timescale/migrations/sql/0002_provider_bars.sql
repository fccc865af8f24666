-- Bars that providers make: they may lack a vwap, and their revision is when they were received, in µs.

alter table aggregated_data
  alter column vwap drop not null,
  alter column revision type bigint,
  add column provider text;
