-- due.lua is the sweeper's look at a sale. It takes from the heads of u and d:
-- what is no longer pending is dropped; what is urgent, due, or dated further
-- ahead than a lease (the clock ran back) is claimed. Claimed ones of d go to
-- its tail with a new lease, so every pending order always stands in d, which
-- is why claimed ones of u are not put there once more. The lease only saves
-- work: whoever else claims the order finds the same verdict.
--   KEYS  meta, orders, due, urgent
--   ARGV  lease in ms, most orders to claim, most items to look at (<= 1,000)
--   Returns {'not_loaded'}, or {'ok', 1 if there is more to look at, then per
--   claimed order: shopper, entry}.
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'not_loaded' } end
local lease, most, look = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local out, claimed, more = { 'ok', 0 }, {}, 0

-- pending_of reads the entries that items name, nil for those not pending.
local function pending_of(items)
  local shoppers, entries = {}, {}
  for i, item in ipairs(items) do shoppers[i] = item.shopper end
  for i, value in ipairs(read_all(KEYS[2], shoppers)) do
    local e = find(parse(value), items[i].id)
    if e and e.state == 'P' then entries[i] = e end
  end
  return entries
end

local function read(key, pattern)
  local items = {}
  for i, text in ipairs(redis.call('LRANGE', key, 0, look - 1)) do
    local at, id, shopper = string.match(text, pattern)
    items[i] = { id = id, shopper = shopper, due = tonumber(at) }
  end
  return items
end

-- claim takes an order once, which may stand in both lists. Two orders of two
-- shoppers may have one ID.
local function claim(item, e)
  local order = item.id .. ',' .. item.shopper
  if claimed[order] then return end
  claimed[order] = true
  out[#out + 1] = item.shopper
  out[#out + 1] = format(e)
  most = most - 1
end

-- take looks at items until the first that has to stay and removes what it has
-- seen from the list. It returns what it claimed.
local function take(key, items, ready)
  local entries, mine, seen = pending_of(items), {}, 0
  for i, item in ipairs(items) do
    local e = entries[i]
    if e and (most < 1 or not ready(item)) then break end
    if e then
      claim(item, e)
      mine[#mine + 1] = item
    end
    seen = i
  end
  if seen > 0 then redis.call('LTRIM', key, seen, -1) end
  if most < 1 or seen == look then more = 1 end
  return mine
end

take(KEYS[4], read(KEYS[4], '^()(%d+),(.*)$'), function() return true end)

local function ready(item) return item.due <= now or item.due > now + lease end

local stamp, again = string.format('%.0f', now + lease) .. ',', {}
for _, item in ipairs(take(KEYS[3], read(KEYS[3], '^(%d+),(%d+),(.*)$'), ready)) do
  again[#again + 1] = stamp .. item.id .. ',' .. item.shopper
end
in_pieces('RPUSH', KEYS[3], again)
out[2] = more
return out
