-- Applies one batch, all of it or nothing of it. Begins with the functions of standing.lua.
--
-- KEYS  the set of symbols with cancels; one hash of applied offsets per position; then, per symbol with new cancels, its
--       cancels, ticks and latest_price; then, per symbol with ticks, its ticks, latest_price and message_count, and of
--       those with cancels, which come last, their cancels; then one key per bar, then one per quote, then one per
--       indicators
-- ARGV  positions, symbols with cancels before, symbols with new cancels, symbols with ticks, how many of these have
--       cancels, bars, quotes, indicators, ticks kept, cancels kept, seconds of latest price, of message count, of bars,
--       of quotes, of indicators, JSON of the codes that hold a price back;
--       per position: partition, offset applied before ('' for none), offset applied after;
--       per symbol with new cancels: itself, how many, per cancel: its trade's time, what it repeats of the trade;
--       per symbol with ticks: ticks in the batch, how many of them follow, which of these has the latest price (0 for
--       none), those oldest first; per bar: its message; per quote: its message; per indicators: their interval, their
--       message
-- Returns 1, or 0 where somebody else has moved an applied offset, or brought a symbol's first cancel, meanwhile (then
-- nothing was done).

local next_argument = 0
local function take()
  next_argument = next_argument + 1
  return ARGV[next_argument]
end
local function take_number()
  return tonumber(take())
end

local next_key = 0
local function take_key()
  next_key = next_key + 1
  return KEYS[next_key]
end

local positions, known_cancelled, newly_cancelled = take_number(), take_number(), take_number()
local symbols, careful_symbols = take_number(), take_number()
local bars, quotes, indicators = take_number(), take_number(), take_number()
local ticks_kept, cancels_kept = take_number(), take_number()
local latest_seconds, count_seconds, bar_seconds, quote_seconds = take(), take_number(), take(), take()
local indicator_seconds, codes = take(), take()

local function final(bar)
  return string.find(bar, '"final":true', 1, true) and 1 or 0
end

-- What orders bars of one key before their revisions: start, made here or by a provider, and if made here, trades seen
-- and how many of these were taken out; final.
local function bar_order(bar)
  local made_here = not string.find(bar, '"provider":"', 1, true)
  local taken_out = math.max(field(bar, 'cancelled'), 0)
  local seen = made_here and field(bar, 'trade_count') + taken_out or 0
  return { field(bar, 'start_us'), made_here and 1 or 0, seen, taken_out, final(bar) }
end

-- Whether bar a is a newer one, or a newer version of the same, than bar b; indicators tell it as their bar does.
local function newer_bar(a, b)
  local a_order, b_order = bar_order(a), bar_order(b)
  for index = 1, 5 do
    if a_order[index] ~= b_order[index] then
      return a_order[index] > b_order[index]
    end
  end
  return less(digits(b, 'revision'), digits(a, 'revision'))
end

-- Keeps the list newest first: puts `new` (oldest first) where it belongs; among equals the later arrival is the newer.
local function merge(key, new)
  local first = 1
  if redis.call('LLEN', key) >= ticks_kept then
    local oldest = redis.call('LINDEX', key, -1)
    while new[first] and before(new[first], oldest) do
      first = first + 1
    end
  end
  if not new[first] then
    return
  end
  local displaced = {}
  local head = redis.call('LINDEX', key, 0)
  while head and before(new[first], head) do
    displaced[#displaced + 1] = redis.call('LPOP', key)
    head = redis.call('LINDEX', key, 0)
  end
  local merged = {}
  local next_displaced = #displaced -- walked backwards: they were taken newest first
  for index = first, #new do
    while next_displaced > 0 and not before(new[index], displaced[next_displaced]) do
      merged[#merged + 1] = displaced[next_displaced]
      next_displaced = next_displaced - 1
    end
    merged[#merged + 1] = new[index]
  end
  for index = next_displaced, 1, -1 do
    merged[#merged + 1] = displaced[index]
  end
  redis.call('LPUSH', key, unpack(merged))
  redis.call('LTRIM', key, 0, ticks_kept - 1)
end

local cancelled_key = take_key()
if redis.call('SCARD', cancelled_key) ~= known_cancelled then
  return 0
end
local applied = {}
for index = 1, positions do
  local position = { key = take_key(), partition = take(), expected = take(), offset = take() }
  if (redis.call('HGET', position.key, position.partition) or '') ~= position.expected then
    return 0
  end
  applied[index] = position
end
for _, position in ipairs(applied) do
  redis.call('HSET', position.key, position.partition, position.offset)
end

-- Makes the latest price that of the newest trade that stands. `arrived` is the trade that would be it if no trade were
-- ever taken back, where it has just come: the price lives for its time from then, whichever trade it is.
local function settle(keys, arrived)
  local newest_standing, taken_back = judges(codes)
  local latest = redis.call('GET', keys.latest)
  if not latest and not arrived then
    return
  end
  local standing = newest_standing(keys.ticks, keys.cancels)
  for _, tick in ipairs({ latest or arrived, arrived }) do -- either may be older than all that are kept
    if (not standing or before(standing, tick)) and not taken_back(tick, keys.ticks, keys.cancels) then
      standing = tick
    end
  end
  if not standing then
    redis.call('DEL', keys.latest)
  elseif arrived then
    redis.call('SET', keys.latest, standing, 'EX', latest_seconds)
  elseif standing ~= latest then
    redis.call('SET', keys.latest, standing, 'KEEPTTL')
  end
end

local touched = {}
for index = 1, newly_cancelled do
  local keys = { cancels = take_key(), ticks = take_key(), latest = take_key() }
  redis.call('SADD', cancelled_key, take())
  for _ = 1, take_number() do
    redis.call('ZADD', keys.cancels, take(), take())
  end
  redis.call('ZREMRANGEBYRANK', keys.cancels, 0, -cancels_kept - 1)
  touched[index] = keys
end

for index = 1, symbols do
  local ticks_key, latest_key, count_key = take_key(), take_key(), take_key()
  local count, kept, priced = take_number(), take_number(), take_number()
  local new = {}
  for place = 1, kept do
    new[place] = take()
  end
  local latest = redis.call('GET', latest_key)
  local newer = priced > 0 and (not latest or not before(new[priced], latest))
  merge(ticks_key, new)
  if index > symbols - careful_symbols then
    settle({ ticks = ticks_key, latest = latest_key, cancels = take_key() }, newer and new[priced] or nil)
  elseif newer then
    redis.call('SET', latest_key, new[priced], 'EX', latest_seconds)
  end
  if redis.call('INCRBY', count_key, count) == count then
    redis.call('EXPIRE', count_key, count_seconds)
  end
end

for _, keys in ipairs(touched) do
  settle(keys, nil)
end

for _ = 1, bars do
  local key, bar = take_key(), take()
  local stored = redis.call('GET', key)
  if not stored or newer_bar(bar, stored) then
    redis.call('SET', key, bar, 'EX', bar_seconds)
  end
end

for _ = 1, quotes do
  local key, quote = take_key(), take()
  local stored = redis.call('GET', key)
  if not stored or not before(quote, stored) then
    redis.call('SET', key, quote, 'EX', quote_seconds)
  end
end

for _ = 1, indicators do
  local key, interval, message = take_key(), take(), take()
  local stored = redis.call('HGET', key, interval)
  if not stored or not newer_bar(stored, message) then
    redis.call('HSET', key, interval, message)
    redis.call('EXPIRE', key, indicator_seconds)
  end
end
return 1
