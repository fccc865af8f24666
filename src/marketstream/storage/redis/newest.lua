-- KEYS  a symbol's ticks, its cancels
-- ARGV  JSON: by provider, the codes of conditions that don't let a trade update the last price
-- Returns the newest kept trade that stands and may make the price.
return newest_standing(KEYS[1], KEYS[2], cjson.decode(ARGV[1]))
