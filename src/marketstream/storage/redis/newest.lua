-- KEYS  a symbol's ticks, its cancels
-- ARGV  JSON of the codes that hold a price back
-- Returns the newest kept trade that stands and may make the price.
local newest_standing = judges(ARGV[1])
return newest_standing(KEYS[1], KEYS[2])
