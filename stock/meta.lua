-- meta.lua reads a sale. The time comes with it, from the server that has the
-- sale: on a Cluster a TIME without a key goes to any node, and one node that is
-- down would fail every sale.
--   KEYS  meta, due
--   ARGV  fields of meta
--   Returns {{seconds, microseconds}, first item of due or false, values of the
--   fields}.
return { redis.call('TIME'), redis.call('LINDEX', KEYS[2], 0), redis.call('HMGET', KEYS[1], unpack(ARGV)) }
