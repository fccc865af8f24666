-- Applies one batch, all of it or nothing of it.
--
-- KEYS  one hash of applied offsets per position; then, per symbol, its ticks, latest_price and message_count;
--       then one key per bar, then one per quote, then one per indicators
-- ARGV  positions, symbols, bars, quotes, indicators, ticks kept, seconds of latest price, of message count, of bars,
--       of quotes, of indicators;
--       per position: partition, offset applied before ('' for none), offset applied after;
--       per symbol: ticks in the batch, how many of them follow, which of these has the latest price (0 for none),
--       those oldest first; per bar: its message; per quote: its message; per indicators: their interval, their message
-- Returns 1, or 0 where somebody else has moved an applied offset meanwhile (then nothing was done).
--
-- Stored messages are the platform's own compact JSON, in which a quote inside a text is always escaped: a pattern with
-- quotes finds the field and nothing else.

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

local positions, symbols, bars, quotes = take_number(), take_number(), take_number(), take_number()
local indicators, ticks_kept = take_number(), take_number()
local latest_seconds, count_seconds, bar_seconds, quote_seconds = take(), take_number(), take(), take()
local indicator_seconds = take()

local function digits(message, name)
  return string.match(message, '"' .. name .. '":(%-?%d+)') or '-1' -- what isn't ours is older
end
local function field(message, name)
  return tonumber(digits(message, name))
end

-- Whether integer a is less than b, as texts: beyond 2^53 different integers may be the same number here.
local function less(a, b)
  local a_number, b_number = tonumber(a), tonumber(b)
  if a_number ~= b_number or a == b then
    return a_number < b_number
  end
  if a_number < 0 then
    a, b = b, a
  end
  return #a < #b or (#a == #b and a < b)
end

-- Whether tick (or quote) a comes before tick (or quote) b, by (event time, sequence).
local function before(a, b)
  local a_time, b_time = field(a, 'event_time_us'), field(b, 'event_time_us')
  if a_time ~= b_time then
    return a_time < b_time
  end
  return less(digits(a, 'sequence'), digits(b, 'sequence'))
end

local function final(bar)
  return string.find(bar, '"final":true', 1, true) and 1 or 0
end

-- What orders bars of one key before their revisions: start, made here or by a provider, and if made here, trades seen
-- and how many of these were taken out; final.
local function bar_order(bar)
  local made_here = not string.find(bar, '"provider":%s*"')
  local cancelled = math.max(field(bar, 'cancelled'), 0)
  local seen = made_here and field(bar, 'trade_count') + cancelled or 0
  return { field(bar, 'start_us'), made_here and 1 or 0, seen, cancelled, final(bar) }
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

for _ = 1, symbols do
  local ticks_key, latest_key, count_key = take_key(), take_key(), take_key()
  local count, kept, priced = take_number(), take_number(), take_number()
  local new = {}
  for index = 1, kept do
    new[index] = take()
  end
  local latest = redis.call('GET', latest_key)
  if priced > 0 and (not latest or not before(new[priced], latest)) then
    redis.call('SET', latest_key, new[priced], 'EX', latest_seconds)
  end
  merge(ticks_key, new)
  if redis.call('INCRBY', count_key, count) == count then
    redis.call('EXPIRE', count_key, count_seconds)
  end
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
