-- KEYS  a topic's hash of applied offsets
-- ARGV  the topic's identity
-- Empties the hash where it is not this topic's. Returns 1 where it was another's.
if redis.call('HGET', KEYS[1], 'topic_id') == ARGV[1] then
  return 0
end
local others = redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'topic_id', ARGV[1])
return others
