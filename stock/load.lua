-- load.lua makes a complete load visible and the sale ready, in one step.
--   KEYS  meta, orders, due, urgent, load
--   ARGV  entries written, shoppers written, then fields and values of meta
--   Returns 'ok'; 'loaded' when the sale is loaded, under any epoch; or
--   'incomplete' when Redis has lost a part of the load. Unless it returns 'ok',
--   it deletes the load and changes nothing else.
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('UNLINK', KEYS[5])
  return 'loaded'
end
local orders, shoppers = tonumber(ARGV[1]), tonumber(ARGV[2])
local n = tonumber(redis.call('HGET', KEYS[5], ' n') or '0')
local len = redis.call('HLEN', KEYS[5])
if n ~= orders or len ~= (orders > 0 and shoppers + 1 or 0) then
  redis.call('UNLINK', KEYS[5])
  return 'incomplete'
end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
if orders > 0 then
  redis.call('HDEL', KEYS[5], ' n')
  redis.call('PERSIST', KEYS[5])
  redis.call('RENAME', KEYS[5], KEYS[2])
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 'ok'
