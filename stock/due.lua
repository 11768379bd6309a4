-- due.lua claims the orders of a sale that the sweeper has to settle. It reads
-- the heads of u and d. Orders that are no longer pending are dropped; those that
-- are urgent, due, or dated further ahead than a lease (the clock was set back)
-- are claimed. A claimed item of d moves to its tail with a new lease. So every
-- pending order is always in d, and claimed items of u need not be added to it.
-- The lease only saves work: any other process that claims the order finds the
-- same verdict.
--   KEYS  meta, orders, due, urgent
--   ARGV  lease in ms, most orders to claim, most items to read (<= 1,000)
--   Returns {'not_loaded'}, or {'ok', 1 if there is more to read, then per
--   claimed order: shopper, entry}.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'not_loaded' } end
local lease, most, look = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local out, claimed, more = { 'ok', 0 }, {}, 0

-- has_pending reports whether a shopper has a pending entry. Most orders are
-- decided by now, and need no parsing.
local function has_pending(value)
  return value and (string.sub(value, 1, 1) == 'P' or string.find(value, '\nP', 1, true))
end

-- read reads the head of a list. It returns the number of items and, by their
-- index, those whose orders are pending, with their entries.
local function read(key, shopper_of, pattern)
  local texts, shoppers, items = redis.call('LRANGE', key, 0, look - 1), {}, {}
  for i = 1, #texts do shoppers[i] = string.match(texts[i], shopper_of) end
  local values = read_all(KEYS[2], shoppers)
  for i = 1, #texts do
    if has_pending(values[i]) then
      local at, id = string.match(texts[i], pattern)
      local e = find(parse(values[i]), id)
      if e and e.state == 'P' then items[i] = { id = id, shopper = shoppers[i], due = tonumber(at), entry = e } end
    end
  end
  return #texts, items
end

-- claim claims an order once, even if it is in both lists. Orders of different
-- shoppers may share an ID.
local function claim(item)
  local order = item.id .. ',' .. item.shopper
  if claimed[order] then return end
  claimed[order] = true
  out[#out + 1] = item.shopper
  out[#out + 1] = format(item.entry)
  most = most - 1
end

-- take claims the ready orders among n items, up to the first one that is not
-- ready, and removes the items before it from the list. It returns the claimed
-- items.
local function take(key, ready, n, items)
  local mine, seen = {}, 0
  for i = 1, n do
    local item = items[i]
    if item and (most < 1 or not ready(item)) then break end
    if item then
      claim(item)
      mine[#mine + 1] = item
    end
    seen = i
  end
  if seen > 0 then redis.call('LTRIM', key, seen, -1) end
  if most < 1 or seen == look then more = 1 end
  return mine
end

local function always() return true end

take(KEYS[4], always, read(KEYS[4], '^%d+,(.*)$', '^()(%d+)'))

local function ready(item) return item.due <= now or item.due > now + lease end

local stamp, again = string.format('%.0f', now + lease) .. ',', {}
for _, item in ipairs(take(KEYS[3], ready, read(KEYS[3], '^%d+,%d+,(.*)$', '^(%d+),(%d+)'))) do
  again[#again + 1] = stamp .. item.id .. ',' .. item.shopper
end
in_pieces('RPUSH', KEYS[3], again)
out[2] = more
return out
