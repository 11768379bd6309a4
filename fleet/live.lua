-- live.lua reads the live processes. It writes nothing.
--   KEYS  as beat.lua
--   ARGV  ms for which a heartbeat is valid
--   Returns for each process: name, time of its last heartbeat in ms, description.
local t = redis.call('TIME')
local now, holds = t[1] * 1000 + math.floor(t[2] / 1000), tonumber(ARGV[1])
local found = {}
local seen = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. (now - holds), '(' .. (now + holds), 'WITHSCORES')
for i = 1, #seen, 2 do
    local said = redis.call('HGET', KEYS[2], seen[i])
    if said then
        found[#found + 1] = seen[i]
        found[#found + 1] = seen[i + 1]
        found[#found + 1] = said
    end
end
return found
