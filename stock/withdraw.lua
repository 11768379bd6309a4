-- withdraw.lua takes a sale out of Redis at once, for a load from MySQL to put
-- it back. Its entries are set aside for a while: some of them may be pending
-- orders whose message was lost, which nobody else knows.
--   KEYS  meta, orders, where to set the orders aside
--   ARGV  milliseconds until they disappear
--   Returns 1 if the sale was loaded.
local loaded = redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[3])
  redis.call('PEXPIRE', KEYS[3], ARGV[1])
end
return loaded
