-- withdraw.lua takes a sale out of Redis in one step, before a load from MySQL
-- puts it back. It keeps the entries under another key for a while: some may be
-- pending orders whose message was lost, and nothing else records them.
--   KEYS  meta, orders, key to keep the orders under
--   ARGV  milliseconds until they are deleted
--   Returns 1 if the sale was loaded.
local loaded = redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[3])
  redis.call('PEXPIRE', KEYS[3], ARGV[1])
end
return loaded
