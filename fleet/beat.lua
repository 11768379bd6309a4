-- beat.lua writes the heartbeat of a process and returns the live processes.
--   KEYS  seen: zset, process -> time of its last heartbeat in ms of this server;
--         said: hash, process -> its own description
--   ARGV  process, its description, ms for which a heartbeat is valid
--   Returns the live processes.
local t = redis.call('TIME')
local now, holds = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[3])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
-- Times in the future are from before the clock was set back.
for _, range in ipairs({{'-inf', now - holds}, {now + holds, '+inf'}}) do
    for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], range[1], range[2])) do
        redis.call('ZREM', KEYS[1], gone)
        redis.call('HDEL', KEYS[2], gone)
    end
end
redis.call('PEXPIRE', KEYS[1], holds)
redis.call('PEXPIRE', KEYS[2], holds)
return redis.call('ZRANGE', KEYS[1], 0, -1)
