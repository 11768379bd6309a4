-- rehearse.lua makes a sale for one rehearsal. Every key has its time to live
-- from the start, and scripts that write to a key keep that: nothing is left
-- behind, whenever the process ends.
--   KEYS  meta, orders, due
--   ARGV  milliseconds until all keys are deleted, then fields and values of meta
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('HSET', KEYS[2], ' ', '')
redis.call('RPUSH', KEYS[3], '0,0, ')
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[1]) end
return 'ok'
