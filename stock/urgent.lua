-- urgent.lua is T2: it lists orders whose send was not confirmed, for the next
-- step of the sweeper. An order that is listed twice is only checked twice.
--   KEYS  meta, urgent
--   ARGV  per order: <order ID>,<shopper>
--   Returns 'not_loaded' or 'ok'.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'not_loaded' end
in_pieces('RPUSH', KEYS[2], ARGV)
return 'ok'
