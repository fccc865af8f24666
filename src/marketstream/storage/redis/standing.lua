-- Functions that other scripts begin with: the order of trades, and which of a symbol's kept trades makes its price.
--
-- A trade stands unless a cancel takes it back: the one that has its id, else the first, by (sequence, id), of those
-- that equal what the cancel repeats. That follows from the kept trades and cancels alone, whichever came first.
--
-- Stored messages are the platform's own compact JSON, in which a quote inside a text is always escaped: a search with
-- quotes finds the field and nothing else. It is one for plain text: trying a pattern at each character of a message
-- takes ten times as long.

local function digits(message, name)
  local _, colon = string.find(message, '"' .. name .. '":', 1, true)
  return colon and string.match(message, '^%-?%d+', colon + 1) or '-1' -- what isn't ours is older
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

-- What tells which trades stand: a function for the newest, and one for whether a trade is taken back. Made only where
-- there are cancels. `codes` is JSON: by provider, the conditions' codes that don't let a trade update the last price.
local function judges(codes)
  local held_back = cjson.decode(codes)

  -- Whether a trade's conditions let it update the last price.
  local function updates_last(tick)
    if string.find(tick, '"conditions":[]', 1, true) then
      return true
    end
    local trade = cjson.decode(tick)
    local codes = held_back[trade.provider] or {}
    for _, code in ipairs(trade.conditions or {}) do
      if codes[code] then
        return false
      end
    end
    return true
  end

  -- What the cancels say of the trade's moment and provider: the ids, and whether one without an id repeats this trade.
  local function said_of(tick, trade, cancels_key)
    local time = digits(tick, 'event_time_us')
    local ids, repeated = {}, false
    for _, message in ipairs(redis.call('ZRANGEBYSCORE', cancels_key, time, time)) do
      local cancel = cjson.decode(message)
      if cancel.provider == trade.provider and digits(message, 'event_time_us') == time then
        if cancel.trade_id ~= cjson.null then
          ids[cancel.trade_id] = true
        else
          repeated = repeated or (cancel.price == trade.price and cancel.size == trade.size)
        end
      end
    end
    return ids, repeated
  end

  local function taken_back(tick, ticks_key, cancels_key)
    local time = digits(tick, 'event_time_us')
    if redis.call('ZCOUNT', cancels_key, time, time) == 0 then
      return false
    end
    local trade = cjson.decode(tick)
    local ids, repeated = said_of(tick, trade, cancels_key)
    if ids[trade.trade_id] or not repeated then
      return ids[trade.trade_id] or false
    end
    for _, message in ipairs(redis.call('LRANGE', ticks_key, 0, -1)) do
      if digits(message, 'event_time_us') == time then
        local other = cjson.decode(message)
        local equal = other.provider == trade.provider and other.price == trade.price and other.size == trade.size
        local same_place = digits(message, 'sequence') == digits(tick, 'sequence')
        local first = before(message, tick) or (same_place and other.trade_id < trade.trade_id)
        if equal and first and not ids[other.trade_id] then
          return false -- the cancel means that one
        end
      end
    end
    return true
  end

  -- The newest of the kept trades that stands and may make the price; false where there is none.
  local function newest_standing(ticks_key, cancels_key)
    local place = 0
    local tick = redis.call('LINDEX', ticks_key, place)
    while tick and not (updates_last(tick) and not taken_back(tick, ticks_key, cancels_key)) do
      place = place + 1
      tick = redis.call('LINDEX', ticks_key, place)
    end
    return tick
  end

  return newest_standing, taken_back
end
