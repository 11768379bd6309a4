-- urgent.lua is T2: orders whose send was not acknowledged, for the sweeper's
-- next look. An order twice in the list is looked at twice, no more.
--   KEYS  meta, urgent
--   ARGV  per order: <order ID>,<shopper>
--   Returns 'not_loaded' or 'ok'.
if redis.call('EXISTS', KEYS[1]) == 0 then return 'not_loaded' end
in_pieces('RPUSH', KEYS[2], ARGV)
return 'ok'
